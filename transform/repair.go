package transform

import (
	"context"
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Repair corrects the linear nodes of a merged trunk in place (refit.Repair): fit are the samples that the
// corrections are computed on, held those that judge them.
func (p *Prepared) Repair(ctx context.Context, e calibrate.Engine, t *merge.Trunk, as merge.Assignments, stats *Statistics, m *merge.Merged, fit, held calibrate.Source, o refit.Options) ([]refit.Outcome, error) {
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	nodes := p.RepairNodes(t, as, stats, side)
	if len(nodes) == 0 {
		return nil, nil
	}
	return refit.Repair(ctx, e, m.Model, side.Model, nodes, fit, held, o)
}

// RepairNodes describes the trunk's linear nodes with the statistics that they should have. side runs the sources
// (SideBySide).
func (p *Prepared) RepairNodes(t *merge.Trunk, as merge.Assignments, stats *Statistics, side *merge.Merged) []refit.Node {
	tp := tapper{s: p.Sources, t: t}
	var nodes []refit.Node
	for _, k := range tp.linear() {
		n := p.Sources.Pairing.Nodes[k][0]
		axis, ok := tp.featureAxis(n.GetOutput()[0])
		m := stats.Node(k)
		if !ok || m == nil || as.MixOf(t.Analysis.Layouts(0, n.GetOutput()[0])[axis], 0) != nil {
			continue // variances do not say what combinations of channels vary by
		}
		r := refit.Node{
			Group: k, Name: onnx.NodeName(n), Output: n.GetOutput()[0], Axis: axis,
			Weight: n.GetInput()[1], WeightAxis: weightAxis(t, n.GetInput()[1]),
		}
		if len(n.GetInput()) > 2 {
			r.Bias = n.GetInput()[2]
		}
		p.addTargets(&r, t, as, m, side)
		nodes = append(nodes, r)
	}
	return nodes
}

// weightAxis is the axis of a weight that makes features.
func weightAxis(t *merge.Trunk, name string) int {
	for axis, role := range t.Analysis.Roles(0, name) {
		if role == space.Out {
			return axis
		}
	}
	return 0
}

// addTargets sets the mean over its members of each member's own mean and deviation (ZipIt's reference
// resets BatchNorm; zipit.md §4 is the same on folded networks). Members that the merge gives no weight
// (--represent select) do not count.
func (p *Prepared) addTargets(r *refit.Node, t *merge.Trunk, as merge.Assignments, m *calibrate.Moments, side *merge.Merged) {
	v, first := variances(m), 0
	var count []float64
	for i := range p.Sources.Models {
		name, _ := p.Sources.Pairing.Value(0, i, r.Output)
		layout := t.Analysis.Layouts(i, name)[r.Axis]
		to, coef, width := as.Map(layout, i, len(p.Sources.Models))
		if r.Mean == nil {
			r.Mean, r.Std, count = make([]float64, width), make([]float64, width), make([]float64, width)
		}
		for c, q := range to {
			if coef[c] > 0 {
				r.Mean[q] += m.Mean[first+c]
				r.Std[q] += math.Sqrt(max(v[first+c], 0))
				count[q]++
			}
		}
		first += len(to)
		r.Members = append(r.Members, refit.Member{Value: side.Values[i][name], To: to, Coef: coef, Mix: as.MixOf(layout, i)})
	}
	for q := range count {
		if count[q] > 0 {
			r.Mean[q] /= count[q]
			r.Std[q] /= count[q]
		}
	}
}
