package transform

import (
	"context"
	"math"
	"runtime"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Repair corrects the linear nodes of a merged trunk in place (refit.Repair): fit are the samples that the
// corrections are computed on, held those that judge them.
func (p *Prepared) Repair(ctx context.Context, e calibrate.Engine, t *merge.Trunk, as merge.Assignments, stats *Statistics, m *merge.Merged, fit, held calibrate.Source, o refit.Options) ([]refit.Outcome, error) {
	nodes := p.RepairNodes(t, as, stats)
	if len(nodes) == 0 {
		return nil, nil
	}
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	return refit.Repair(ctx, e, m.Model, side.Model, nodes, fit, held, o)
}

// RepairNodes describes the trunk's linear nodes with the statistics that they should have.
func (p *Prepared) RepairNodes(t *merge.Trunk, as merge.Assignments, stats *Statistics) []refit.Node {
	tp := tapper{p.Sources, t}
	var nodes []refit.Node
	for _, k := range tp.linear() {
		n := p.Sources.Pairing.Nodes[k][0]
		axis, ok := tp.featureAxis(n.GetOutput()[0])
		m := stats.Node(k)
		if !ok || m == nil {
			continue
		}
		r := refit.Node{
			Group: k, Name: onnx.NodeName(n), Output: n.GetOutput()[0], Axis: axis,
			Weight: n.GetInput()[1], WeightAxis: weightAxis(t, n.GetInput()[1]),
		}
		if len(n.GetInput()) > 2 {
			r.Bias = n.GetInput()[2]
		}
		p.addTargets(&r, t, as, m)
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
func (p *Prepared) addTargets(r *refit.Node, t *merge.Trunk, as merge.Assignments, m *calibrate.Moments) {
	v, first := variances(m), 0
	var count []float64
	for i, src := range p.Sources.Models {
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
		r.Members = append(r.Members, refit.Member{Value: src.Head + "/" + name, To: to, Coef: coef})
	}
	for q := range count {
		if count[q] > 0 {
			r.Mean[q] /= count[q]
			r.Std[q] /= count[q]
		}
	}
}

// repair corrects the merged trunk and keeps what is best on held-out samples. Repairing every node is tried
// first. A node's squared error against the averaged sources is no judge of it: a repair undoes the loss of
// variance that averaging brings, which that error does not see (docs/repair.md has the measurements). So
// the heads' outputs decide; where they got worse, the repair is redone with each node judged by its own
// error, and where that does not help either, nothing is repaired.
func (r *run) repair(ctx context.Context, res *Result) (*RepairReport, error) {
	fit, held := splitSource(r.src, HeldOut)
	rep := &RepairReport{Errors: map[string]float64{}, HeldOut: held.Samples()}
	plain := res.Merged.Model.Clone()
	if err := r.outputError(ctx, "none", plain, held, rep); err != nil {
		return nil, err
	}
	best := "none"
	for _, way := range []string{"all", "guarded"} {
		candidate := plain.Clone()
		judge := held
		if way == "all" {
			judge = nil
		}
		nodes, err := r.p.Repair(ctx, r.e, r.trunk, r.as, r.stats, &merge.Merged{Model: candidate}, fit, judge, r.refitOptions())
		if err != nil {
			return nil, err
		}
		if err := r.outputError(ctx, way, candidate, held, rep); err != nil {
			return nil, err
		}
		if held.Samples() == 0 || rep.Errors[way] <= rep.Errors[best] {
			best, rep.Nodes = way, nodes
			res.Merged.Model = candidate
			break
		}
	}
	rep.Chosen = best
	return rep, nil
}

func (r *run) refitOptions() refit.Options {
	o := r.o.Refit
	o.Batch = r.o.Batch
	o.Workers = r.o.Workers
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// outputError notes the relative error of the heads' outputs against the sources', over held-out samples:
// √(Σ|y − y_i|² / Σ|y_i|²), the mean over all outputs.
func (r *run) outputError(ctx context.Context, way string, m *onnx.Model, held calibrate.Source, rep *RepairReport) error {
	if held.Samples() == 0 {
		return nil
	}
	if r.truth == nil {
		side, err := r.p.SideBySide(r.o.Rename)
		if err != nil {
			return err
		}
		if r.truth, err = r.outputs(ctx, side.Model, held); err != nil {
			return err
		}
	}
	got, err := r.outputs(ctx, m, held)
	if err != nil {
		return err
	}
	total, count := 0.0, 0.0
	for name, want := range r.truth {
		var diff, norm float64
		for k, y := range want {
			d := float64(got[name][k]) - float64(y)
			diff += d * d
			norm += float64(y) * float64(y)
		}
		if norm > 0 {
			total += math.Sqrt(diff / norm)
			count++
		}
	}
	rep.Errors[way] = total / max(count, 1)
	return nil
}

// outputs runs a model over a source and returns its floating outputs.
func (r *run) outputs(ctx context.Context, m *onnx.Model, src calibrate.Source) (map[string][]float32, error) {
	out := map[string][]float32{}
	o := calibrate.ForwardOptions{Batch: r.o.Batch, Workers: r.o.Workers}
	err := calibrate.Forward(ctx, r.e, m, src, o, func(b calibrate.ForwardBatch) error {
		for name, t := range b.Outputs {
			if !t.DType.IsFloat() {
				continue
			}
			v, err := t.Float32s()
			if err != nil {
				return err
			}
			out[name] = append(out[name], v...)
		}
		return nil
	})
	return out, err
}
