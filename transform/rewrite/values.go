package rewrite

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// value is what shape inference knows of a value. Initializers are asked themselves, since passes replace
// them; of everything else the editor's invariant says that it still holds.
func (e *editor) value(name string) shape.Value {
	if p := e.inits[name]; p != nil {
		v := shape.Value{DType: onnx.DType(p.GetDataType()), HasRank: true, Dims: make([]shape.Dim, len(p.GetDims()))}
		for i, d := range p.GetDims() {
			v.Dims[i].Size = d
		}
		return v
	}
	return e.known[name]
}

// rank is the number of dimensions of a value, -1 where unknown.
func (e *editor) rank(name string) int {
	if v := e.value(name); v.HasRank {
		return len(v.Dims)
	}
	return -1
}

// sizes returns the dimensions from an axis on, if all of them are numbers.
func (e *editor) sizes(name string, from int) ([]int64, bool) {
	v := e.value(name)
	if !v.HasRank || len(v.Dims) < from {
		return nil, false
	}
	out := make([]int64, 0, len(v.Dims)-from)
	for _, d := range v.Dims[from:] {
		if !d.Known() {
			return nil, false
		}
		out = append(out, d.Size)
	}
	return out, true
}

// list is a list of integers that newer opsets pass as a constant input and older ones as an attribute.
// given is false where there is neither; ok is false where it is computed.
func (e *editor) list(n *onnx.Node, attr string, slot int) (list []int64, given, ok bool) {
	if v := input(n, slot); slot > 0 && v != "" {
		list, ok = e.ints(v)
		return list, true, ok
	}
	if a := onnx.Attr(n, attr); a != nil {
		return a.GetInts(), true, true
	}
	return nil, false, true
}

// all reports whether every element of v is x.
func all(v []int64, x int64) bool {
	for _, y := range v {
		if y != x {
			return false
		}
	}
	return true
}

func product(v []int64) int64 {
	p := int64(1)
	for _, x := range v {
		p *= x
	}
	return p
}

// repeat is x, n times.
func repeat(x int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = x
	}
	return out
}

// sequence is from, from+1, …, to-1.
func sequence(from, to int64) []int64 {
	var out []int64
	for x := from; x < to; x++ {
		out = append(out, x)
	}
	return out
}
