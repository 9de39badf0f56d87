package onnx

import "slices"

// HandsOut reports whether n does nothing but make a value a graph output, if perhaps of another type.
func (ix *Index) HandsOut(n *Node) bool {
	switch {
	case n.GetDomain() != "" && n.GetDomain() != "ai.onnx" || len(n.GetOutput()) != 1:
		return false
	case n.GetOpType() != "Identity" && n.GetOpType() != "Cast":
		return false
	}
	return ix.Output(n.GetOutput()[0]) != nil && len(ix.Uses(n.GetOutput()[0])) == 0
}

// Aside reports whether n only hands out what the graph computes on with.
func (ix *Index) Aside(n *Node) bool { return ix.HandsOut(n) && ix.ReadOn(n.GetInput()[0]) }

// ReadOn reports whether the graph computes with a value: it is not only counted, or handed out.
func (ix *Index) ReadOn(value string) bool {
	return slices.ContainsFunc(ix.Uses(value), func(u Use) bool {
		return u.Node.GetOpType() != "Shape" && u.Node.GetOpType() != "Size" && !ix.HandsOut(u.Node)
	})
}
