package merge

import (
	"bytes"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// dropUnread takes prefixes out of the merged graph that every stem meets with zeros: those of the other models, where
// one model's trunk is kept as it is. The stem then has that model's weights, bit for bit.
func (b *builder) dropUnread() error {
	if b.s.Prefixes == nil {
		return nil
	}
	ix, err := onnx.NewIndex(b.graph)
	if err != nil {
		return fault.Wrap(fault.Internal, "invalid_merge", err, "the merged graph is invalid")
	}
	dropped := false
	for _, join := range b.s.Prefixes.joins {
		n := ix.Producer(join.value)
		if n == nil || n.GetOpType() != "Concat" {
			continue
		}
		stems, ok := b.mergedStems(ix, join)
		if !ok {
			continue
		}
		keep := b.keptParts(join, stems)
		if len(keep) == len(join.sizes) || len(keep) == 0 {
			continue
		}
		b.narrow(n, join, stems, keep)
		dropped = true
	}
	if dropped {
		b.dropDead()
	}
	return nil
}

// mergedStem is a node of the merged graph that reads a concatenation of prefixes.
type mergedStem struct {
	node  *onnx.Node
	c     space.Contraction
	param *onnx.Tensor
}

// mergedStems lists the readers of a concatenation; ok is false where not all contract it with a parameter.
func (b *builder) mergedStems(ix *onnx.Index, j join) (stems []mergedStem, ok bool) {
	for _, u := range ix.Uses(j.value) {
		c, ok := space.ContractionOf(ix, u.Node, j.rank)
		if !ok || c.InputSlot != u.Slot || c.InputAxis != j.axis || len(ix.Uses(u.Node.GetInput()[c.ParamSlot])) > 1 {
			return nil, false
		}
		t, err := onnx.TensorOf(ix.Initializer(u.Node.GetInput()[c.ParamSlot]))
		if err != nil {
			return nil, false
		}
		stems = append(stems, mergedStem{u.Node, c, t})
	}
	return stems, len(stems) > 0 && ix.Output(j.value) == nil
}

// keptParts numbers the parts of a concatenation that some stem reads with a weight that is not zero.
func (b *builder) keptParts(j join, stems []mergedStem) (keep []int) {
	from := 0
	for k, size := range j.sizes {
		for _, s := range stems {
			if part := sliceAxis(s.param, s.c.ParamAxis, from, from+size); len(bytes.Trim(part.Raw, "\x00")) > 0 {
				keep = append(keep, k)
				break
			}
		}
		from += size
	}
	return keep
}

// narrow lets the stems read the kept parts only.
func (b *builder) narrow(n *onnx.Node, j join, stems []mergedStem, keep []int) {
	for _, s := range stems {
		var parts []*onnx.Tensor
		from := 0
		for k, size := range j.sizes {
			if slices.Contains(keep, k) {
				parts = append(parts, sliceAxis(s.param, s.c.ParamAxis, from, from+size))
			}
			from += size
		}
		joined := parts[0]
		for _, p := range parts[1:] {
			joined = joinAxis(joined, p, s.c.ParamAxis)
		}
		b.initializer(s.node.GetInput()[s.c.ParamSlot], joined)
		if len(keep) == 1 {
			s.node.Input[s.c.InputSlot] = n.GetInput()[keep[0]]
		}
	}
	var in []string
	for _, k := range keep {
		in = append(in, n.GetInput()[k])
	}
	n.Input = in
}

// sliceAxis is the part of a tensor from one position of an axis up to another.
func sliceAxis(t *onnx.Tensor, axis, from, to int) *onnx.Tensor {
	dims := slices.Clone(t.Dims)
	dims[axis] = int64(to - from)
	out := onnx.NewTensor(t.DType, dims...)
	outer, inner := around(t, axis)
	all, part := int(t.Dims[axis])*inner, (to-from)*inner
	for o := range outer {
		copy(out.Raw[o*part:(o+1)*part], t.Raw[o*all+from*inner:])
	}
	return out
}

// joinAxis puts b behind a on an axis.
func joinAxis(a, b *onnx.Tensor, axis int) *onnx.Tensor {
	out := padZeros(a, axis, 0, int(b.Dims[axis]))
	outer, inner := around(b, axis)
	all, from, part := int(out.Dims[axis])*inner, int(a.Dims[axis])*inner, int(b.Dims[axis])*inner
	for o := range outer {
		copy(out.Raw[o*all+from:], b.Raw[o*part:(o+1)*part])
	}
	return out
}

// around is the number of slices before an axis, and the bytes of one position of it.
func around(t *onnx.Tensor, axis int) (outer, inner int) {
	outer, inner = 1, t.DType.Size()
	for _, d := range t.Dims[:axis] {
		outer *= int(d)
	}
	for _, d := range t.Dims[axis+1:] {
		inner *= int(d)
	}
	return outer, inner
}

// dropDead removes nodes and initializers that no output needs any more.
func (b *builder) dropDead() {
	needed := map[string]bool{}
	for _, v := range b.graph.Output {
		needed[v.GetName()] = true
	}
	var nodes []*onnx.Node
	for _, n := range slices.Backward(b.graph.Node) { // in topological order
		if slices.ContainsFunc(n.GetOutput(), func(v string) bool { return needed[v] }) {
			nodes = append(nodes, n)
			for _, v := range onnx.Reads(n) {
				needed[v] = true
			}
		}
	}
	slices.Reverse(nodes)
	b.graph.Node = nodes
	b.graph.Initializer = slices.DeleteFunc(b.graph.Initializer, func(t *onnx.TensorProto) bool { return !needed[t.GetName()] })
}
