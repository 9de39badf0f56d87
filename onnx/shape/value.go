package shape

import (
	"sort"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Dim is a size, or an entry of a small integer tensor: either a number or a symbol.
//
// A number has no Sym. An unknown one has Size -1 and a Sym that names it: declared by the file ("batch"), a
// nameless size of an input ("x@0"), derived from these ("4·batch"), or, with a question mark, made up. An entry of Ints may be
// the number -1 (as in a Reshape target), so Known, and not the sign of Size, tells the two apart.
type Dim struct {
	Size int64
	Sym  string
}

// Known reports whether d is a number.
func (d Dim) Known() bool { return d.Sym == "" }

// Is reports whether d is the number n.
func (d Dim) Is(n int64) bool { return d.Sym == "" && d.Size == n }

// String is the number or the symbol.
func (d Dim) String() string {
	if d.Known() {
		return strconv.FormatInt(d.Size, 10)
	}
	return d.Sym
}

// madeUp reports whether nothing but this package's need of a name is behind d's symbol.
func (d Dim) madeUp() bool { return strings.HasPrefix(d.Sym, "?") }

// opaque reports whether d stems from the unknown contents of a tensor. Such a number need not be a size: it
// may be the -1 of a Reshape target.
func (d Dim) opaque() bool { return strings.Contains(d.Sym, "[") }

// unknown stands for a size that a rule cannot tell. Infer gives each one a symbol of its own, so a rule must
// not take two of them for equal.
var unknown = Dim{Size: -1, Sym: "?"}

// num is the number n.
func num(n int64) Dim { return Dim{Size: n} }

// nums are the numbers n.
func nums(n ...int64) []Dim {
	out := make([]Dim, len(n))
	for i, x := range n {
		out[i] = num(x)
	}
	return out
}

// unknowns are n unknown sizes.
func unknowns(n int) []Dim {
	out := make([]Dim, n)
	for i := range out {
		out[i] = unknown
	}
	return out
}

// Value is what is known about one value of the graph.
type Value struct {
	DType   onnx.DType // onnx.Undefined where unknown
	Dims    []Dim      // meaningful where HasRank
	HasRank bool
	// Ints are the contents of an integer or bool tensor of rank ≤ 1 and at most 64 elements, nil where they
	// are not tracked.
	Ints []Dim
}

// Rank is the number of dimensions, -1 where unknown.
func (v Value) Rank() int {
	if !v.HasRank {
		return -1
	}
	return len(v.Dims)
}

// Static returns the sizes, ok only where every one is a number.
func (v Value) Static() (sizes []int64, ok bool) {
	if !v.HasRank {
		return nil, false
	}
	return numbers(v.Dims)
}

// String is like "float32[batch,64,7,7]", with a question mark for a missing type or rank.
func (v Value) String() string {
	name := "?"
	if v.DType != onnx.Undefined {
		name = v.DType.String()
	}
	if !v.HasRank {
		return name + "?"
	}
	return name + format(v.Dims)
}

func format(dims []Dim) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// numbers converts entries that are all numbers.
func numbers(dims []Dim) ([]int64, bool) {
	out := make([]int64, len(dims))
	for i, d := range dims {
		if !d.Known() {
			return nil, false
		}
		out[i] = d.Size
	}
	return out, true
}

// Shapes holds every value of a model's main graph by name: inputs, initializers and node outputs.
type Shapes map[string]Value

// Unknown lists, sorted, the values whose rank is unknown or some of whose sizes do not follow from those of the
// inputs: what only running the model can tell.
func Unknown(s Shapes) []string {
	var names []string
	for name, v := range s {
		if !v.HasRank || anyMadeUp(v.Dims) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

func anyMadeUp(dims []Dim) bool {
	for _, d := range dims {
		if strings.Contains(d.Sym, "?") {
			return true
		}
	}
	return false
}
