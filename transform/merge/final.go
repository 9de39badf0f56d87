package merge

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// finals finds the groups that make what an output holds: the last weights before it (a classifier, the
// convolution before a detector's decoding). Features of outputs mean something in their order, and differ between
// the tasks, so a head keeps the weights that make them; features that other weights read too (a residual stream)
// are no output's alone. found says for each such group which output it is, leads for each model to which output a
// value leads on every way, without meeting weights.
func (s *Sources) finals(identical map[int]bool) (found map[int]string, leads []map[string]string) {
	found = map[int]string{}
	for i := range s.Models {
		f := finalFinder{s: s, i: i, ix: s.Models[i].Index, identical: identical, leads: map[string]string{}}
		leads = append(leads, f.leads)
		for _, n := range slices.Backward(f.ix.Order) {
			output := f.visit(n)
			if k, ok := s.Pairing.Of(n); ok && output != "" && f.makes(n) && found[k] == "" {
				found[k] = output
			}
		}
	}
	return found, leads
}

// finalFinder walks from a model's outputs back to the weights.
type finalFinder struct {
	s         *Sources
	i         int
	ix        *onnx.Index
	identical map[int]bool
	leads     map[string]string // value → the output that it leads to on every way, without meeting weights
}

// visit finds which output all that a node makes leads to, "" where some of it meets weights again.
func (f finalFinder) visit(n *onnx.Node) string {
	output := ""
	for _, v := range n.GetOutput() {
		f.leads[v] = f.end(v)
		if f.leads[v] == "" && len(f.ix.Uses(v)) > 0 {
			return ""
		}
		if output == "" {
			output = f.leads[v]
		}
	}
	return output
}

// end is the output that a value leads to on all ways, "" where it leads to weights, or nowhere.
func (f finalFinder) end(v string) string {
	output := ""
	if f.ix.Output(v) != nil {
		output = v
	}
	for _, u := range f.ix.Uses(v) {
		if u.Node.GetOpType() == "Shape" || u.Node.GetOpType() == "Size" {
			continue // what it counts are no features
		}
		if f.learned(u.Node) {
			return ""
		}
		for _, out := range u.Node.GetOutput() {
			if f.leads[out] == "" && len(f.ix.Uses(out)) > 0 {
				return ""
			}
			if output == "" {
				output = f.leads[out]
			}
		}
	}
	return output
}

// makes reports whether a node makes features from weights of its own.
func (f finalFinder) makes(n *onnx.Node) bool {
	return contracts(f.ix, n) || n.GetOpType() == "Gather" && f.s.param(f.i, n, 0) != nil
}

// learned reports whether a node contracts features, and not to one expected value by numbers that all models were
// given alike (the bins of a detector's box distribution).
func (f finalFinder) learned(n *onnx.Node) bool {
	if !contracts(f.ix, n) {
		return false
	}
	k, paired := f.s.Pairing.Of(n)
	if !paired || len(f.s.Models) == 1 || f.identical[k] {
		return true
	}
	params := 0
	for _, v := range f.s.Pairing.Nodes[k][0].GetInput() {
		if f.s.Models[0].Index.Initializer(v) == nil {
			continue
		}
		params++
		if dims := f.s.Models[0].Index.Initializer(v).GetDims(); len(dims) > 1 && dims[0] != 1 || !f.s.equalParam(v) {
			return true
		}
	}
	return params == 0
}

// contracts reports whether a node mixes features: the end of one space and the beginning of another.
func contracts(ix *onnx.Index, n *onnx.Node) bool {
	switch n.GetOpType() {
	case "MatMul", "Gemm", "Einsum", "LSTM", "GRU", "RNN", "If", "Loop", "Scan":
		return true
	case "Conv", "ConvTranspose": // a depthwise one treats every channel by itself
		w := ix.Initializer(n.GetInput()[1])
		return w == nil || len(w.GetDims()) < 2 || onnx.AttrInt(n, "group", 1) == 1 || w.GetDims()[1] > 1
	}
	_, ok := space.ContractionOf(ix, n, 2)
	return ok
}
