package pair

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// sig is a hash of structure.
type sig uint64

// horizon is how many steps ahead a node is told from its likes.
const horizon = 16

// follows gives each node hashes of what follows it: entry d describes the operators up to d steps behind
// it. It only breaks ties between parallel branches of one form. There are several depths because models
// whose heads differ have no two nodes with the same whole continuation: the deepest agreement counts.
func follows(ix *onnx.Index, form func(*onnx.Index, *onnx.Node) sig) map[*onnx.Node]*[horizon]sig {
	out := make(map[*onnx.Node]*[horizon]sig, len(ix.Order))
	for _, n := range ix.Order {
		out[n] = &[horizon]sig{form(ix, n)}
	}
	for d := 1; d < horizon; d++ {
		for _, n := range ix.Order {
			out[n][d] = mix(out[n][0], readers(ix, n, func(m *onnx.Node) sig { return out[m][d-1] })...)
		}
	}
	return out
}

// readers hashes the places that read n's outputs, in an order that does not depend on the file's. That a value which
// is read on is an output too says nothing of what follows: other models, and merged ones, may keep it to themselves.
func readers(ix *onnx.Index, n *onnx.Node, of func(*onnx.Node) sig) []sig {
	var all []sig
	for slot, v := range n.GetOutput() {
		if v == "" {
			continue
		}
		on := ix.ReadOn(v)
		if ix.Output(v) != nil && !on {
			all = append(all, mix(0, sig(slot)))
		}
		for _, u := range ix.Uses(v) {
			if on && ix.HandsOut(u.Node) {
				continue
			}
			in := u.Slot
			if commutative[u.Node.GetOpType()] {
				in = 0
			}
			all = append(all, mix(of(u.Node), sig(slot), sig(in)))
		}
	}
	slices.Sort(all)
	return all
}

// form hashes what alike compares: operator, attributes and the shapes of parameters.
func form(ix *onnx.Index, n *onnx.Node) sig { return formWith(ix, n, 0) }

// looseForm hashes what alike compares where widths may differ: neither axes 0 and 1 nor groups.
func looseForm(ix *onnx.Index, n *onnx.Node) sig { return formWith(ix, n, 2) }

// formWith leaves out the sizes of the first axes of parameters, so many.
func formWith(ix *onnx.Index, n *onnx.Node, from int) sig {
	var parts []string
	for _, a := range n.GetAttribute() {
		if from == 0 || a.GetName() != "group" || a.GetI() < 2 {
			parts = append(parts, a.GetName()+"="+showAttribute(a))
		}
	}
	slices.Sort(parts)
	parts = append(parts, n.GetDomain(), n.GetOpType())
	for slot, in := range n.GetInput() {
		if t := ix.Initializer(in); t != nil {
			parts = append(parts, fmt.Sprint(slot, len(t.GetDims()), t.GetDims()[min(from, len(t.GetDims())):]))
		}
	}
	h := fnv.New64a()
	h.Write([]byte(strings.Join(parts, "\x00")))
	return sig(h.Sum64())
}

// mix folds more hashes into h, in order (the finalizer of SplitMix64 after each).
func mix(h sig, more ...sig) sig {
	for _, x := range more {
		h = (h ^ x) + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// likelier reports whether n, of model i, is followed by what follows a for longer than m is: widths included, else
// without them.
func (p *Pairing) likelier(a, n, m *onnx.Node, i int) bool {
	x, y := agreement(p.back, a, n, i), agreement(p.back, a, m, i)
	if x != y || p.loose == nil {
		return x > y
	}
	return agreement(p.loose, a, n, i) > agreement(p.loose, a, m, i)
}

// agreement is for how many steps a and n are followed by the same.
func agreement(back []map[*onnx.Node]*[horizon]sig, a, n *onnx.Node, i int) int {
	x, y := back[0][a], back[i][n]
	d := 0
	for d < horizon && x[d] == y[d] {
		d++
	}
	return d
}
