package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// dropRepeated keeps one of several nodes that compute the same: one operator, attributes and inputs. One exporter
// writes what a network computes twice as two nodes, another removes the second.
//
// Weights count as equal only where they are one initializer: two layers that merely have the same weights, as
// fresh normalisations have, are no repetition in another model of the architecture. Constants of integers and
// single numbers go by their contents.
func dropRepeated(m *onnx.Model, r *Record) error {
	e, err := edit(m)
	if err != nil {
		return err
	}
	first := map[string]*onnx.Node{}
	for n := range e.nodes {
		if onnx.HasSubgraph(n) || onnx.IsRandom(n) || isOp(n, "Dropout") {
			continue
		}
		key := e.computes(n)
		keep := first[key]
		if keep == nil {
			first[key] = n
			continue
		}
		if e.standIn(keep, n) {
			r.did(n.GetOpType() + " computed once")
		}
	}
	e.close()
	return nil
}

// computes spells out what a node computes.
func (e *editor) computes(n *onnx.Node) string {
	parts := []string{n.GetDomain(), n.GetOpType(), fmt.Sprint(len(n.GetOutput()))}
	var attributes []string
	for _, a := range n.GetAttribute() {
		raw, _ := proto.MarshalOptions{Deterministic: true}.Marshal(a)
		attributes = append(attributes, string(raw))
	}
	slices.Sort(attributes)
	parts = append(parts, attributes...)
	for slot := range n.GetInput() {
		parts = append(parts, e.identity(input(n, slot)))
	}
	return strings.Join(parts, "\x00")
}

// identity names a value: its name, or what a constant that is no weight holds.
func (e *editor) identity(value string) string {
	p := e.inits[value]
	if p == nil || e.inputs[value] {
		return "v" + value
	}
	t, err := onnx.TensorOf(p)
	if err != nil || t.DType.IsFloat() && t.Len() != 1 {
		return "v" + value
	}
	return fmt.Sprintf("c%d %v %x", t.DType, t.Dims, t.Raw)
}

// standIn makes the outputs of keep those of n too. False where a name would be lost.
func (e *editor) standIn(keep, n *onnx.Node) bool {
	for slot, v := range n.GetOutput() {
		if v != "" && (e.outputs[v] || e.captured(v) || keep.Output[slot] == "") {
			return false
		}
	}
	for slot, v := range n.GetOutput() {
		if v != "" {
			e.redirect(v, keep.Output[slot])
		}
	}
	e.replace(n)
	return true
}
