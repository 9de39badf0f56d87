package transform

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"gonum.org/v1/gonum/mat"
)

// TaskReport is how well a linear discriminant tells which task a sample is of.
type TaskReport struct {
	Features int     `json:"features"`
	Ridge    float64 `json:"ridge"`    // relative to the features' mean variance inside the tasks
	Accuracy float64 `json:"accuracy"` // on held-out calibration samples
	HeldOut  int     `json:"held_out_samples"`
}

// maxTaskFeatures bounds the covariance that has to be solved for.
const maxTaskFeatures = 4096

// taskRidges are tried on held-out samples.
var taskRidges = []float64{1e-3, 1e-2, 1e-1, 1}

// taskID adds the rule of that name. The discriminant is Fisher's for classes of one covariance, every task as likely as
// any other: P(h|f) = softmax over h of μ_hᵀΣ⁻¹f − μ_hᵀΣ⁻¹μ_h/2, μ_h being the mean of the features f over task h's
// samples and Σ their covariance inside the tasks plus λ·tr(Σ)/d·I.
func (r *run) taskID(ctx context.Context, res *Result, b *jointBuilder) (*TaskReport, error) {
	if err := r.checkTasks(len(b.heads)); err != nil {
		return nil, err
	}
	features, err := r.taskFeatures(res, b)
	if err != nil {
		return nil, err
	}
	d := &discriminant{tasks: len(b.heads)}
	err = calibrate.Forward(ctx, r.e, b.m, r.src, calibrate.ForwardOptions{Outputs: []string{features}, Batch: r.o.Batch, Workers: r.o.Workers}, func(batch calibrate.ForwardBatch) error {
		t := batch.Outputs[features]
		v, err := t.Float64s()
		if err != nil {
			return err
		}
		return d.add(v, batch.From, batch.To, r.src.Samples(), r.o.Tasks)
	})
	if err != nil {
		return nil, err
	}
	rep, weight, bias, err := d.solve()
	if err != nil {
		return nil, err
	}
	b.prior(features, weight, bias, d.width)
	return rep, nil
}

// checkTasks asks for the task of every sample, and samples of every task.
func (r *run) checkTasks(heads int) error {
	if r.src == nil || len(r.o.Tasks) != r.src.Samples() {
		return fault.New(fault.Usage, "no_tasks", "the task prior needs to know which task's data a sample is of").
			WithHint("give data for every head: --data a=FILE --data b=FILE")
	}
	count := make([]int, heads)
	for _, t := range r.o.Tasks {
		if t >= 0 && t < heads {
			count[t]++
		}
	}
	for h, n := range count {
		if n < HeldOut {
			return fault.New(fault.Data, "few_samples", "%d samples of head %s's task are too few to tell it from the others", n, r.p.Heads()[h].Name).
				WithHint("give at least %d with --data %s=FILE", HeldOut, r.p.Heads()[h].Name)
		}
	}
	return nil
}

// taskFeatures adds nodes that bring together what the heads read: the values that leave the trunk, averaged over
// pixels or tokens; of an ensemble, those that would leave it in every model. Where there are none, the heads' logits.
func (r *run) taskFeatures(res *Result, b *jointBuilder) (string, error) {
	trunk := r.trunk
	if len(trunk.Groups) == 0 {
		var err error
		if trunk, err = merge.FindTrunk(r.p.Sources, merge.Cut{}); err != nil {
			return "", err
		}
	}
	var parts []string
	for _, c := range trunk.Crossings(r.p.Sources) {
		if len(r.trunk.Groups) > 0 {
			parts = r.pooled(parts, b, c.Value, c.Value)
			continue
		}
		for i := range r.p.Sources.Models {
			if own, ok := r.p.Sources.Pairing.Value(0, i, c.Value); ok {
				parts = r.pooled(parts, b, c.Value, res.Merged.Values[i][own])
			}
		}
	}
	if len(parts) == 0 {
		for h, head := range b.heads {
			part := head.name
			if head.dtype != onnx.Float {
				part = b.node("Cast", h, "features", []string{part}, onnx.Int("to", int64(onnx.Float)))
			}
			parts = append(parts, part)
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	g := b.m.Graph()
	name := JointOutput + "/features"
	g.Node = append(g.Node, onnx.NewNode("Concat", name, parts, []string{name}, onnx.Int("axis", 1)))
	return name, nil
}

// pooled appends a value's mean over all axes but samples and features, [samples, features]; value is its name in the
// first model. Values without features say nothing of a task's.
func (r *run) pooled(parts []string, b *jointBuilder, value, merged string) []string {
	features := -1
	layouts := r.p.Sources.Full.Layouts(0, value)
	for k, l := range layouts {
		if !l.Aligned() && features < 0 {
			features = k
		}
	}
	if features < 1 || merged == "" {
		return parts
	}
	if len(layouts) == 2 {
		return append(parts, merged)
	}
	var axes []int64
	for k := 1; k < len(layouts); k++ {
		if k != features {
			axes = append(axes, int64(k))
		}
	}
	g := b.m.Graph()
	name := fmt.Sprintf("%s/features/%d", JointOutput, len(parts))
	if b.m.Opset("") < 18 {
		g.Node = append(g.Node, onnx.NewNode("ReduceMean", name, []string{merged}, []string{name}, onnx.Ints("axes", axes...), onnx.Int("keepdims", 0)))
		return append(parts, name)
	}
	g.Initializer = append(g.Initializer, onnx.FromInt64(axes, int64(len(axes))).Proto(name+"/axes"))
	g.Node = append(g.Node, onnx.NewNode("ReduceMean", name, []string{merged, name + "/axes"}, []string{name}, onnx.Int("keepdims", 0)))
	return append(parts, name)
}

// prior adds the tasks' probabilities, and each head's own times its task's.
func (b *jointBuilder) prior(features string, weight, bias []float64, width int) {
	g := b.m.Graph()
	name := func(what string) string { return JointOutput + "/task/" + what }
	n := int64(len(b.heads))
	g.Initializer = append(g.Initializer, onnx.FromFloat64(onnx.Float, weight, n, int64(width)).Proto(name("weight")),
		onnx.FromFloat64(onnx.Float, bias, n).Proto(name("bias")))
	g.Node = append(g.Node,
		onnx.NewNode("Gemm", name("scores"), []string{features, name("weight"), name("bias")}, []string{name("scores")}, onnx.Int("transB", 1)),
		onnx.NewNode("Softmax", name("prior"), []string{name("scores")}, []string{name("prior")}, onnx.Int("axis", 1)))
	prior := name("prior")
	if b.heads[0].dtype != onnx.Float {
		g.Node = append(g.Node, onnx.NewNode("Cast", name("cast"), []string{prior}, []string{name("cast")}, onnx.Int("to", int64(b.heads[0].dtype))))
		prior = name("cast")
	}
	for h, head := range b.heads {
		at := b.name(h, "task")
		g.Initializer = append(g.Initializer, onnx.FromInt64([]int64{int64(h)}, 1).Proto(at))
		mine := b.node("Gather", h, "prior", []string{prior, at}, onnx.Int("axis", 1))
		probabilities := b.node("Softmax", h, "probabilities", []string{head.name}, onnx.Int("axis", 1))
		b.parts = append(b.parts, b.node("Mul", h, "weighed", []string{probabilities, mine}))
	}
}

// discriminant gathers what the solution needs: counts, means and second moments, all about the first sample, and the
// held-out samples as they are.
type discriminant struct {
	tasks, width int
	origin       []float64
	count        []float64
	sum          [][]float64
	square       *mat.Dense
	held         []float64
	heldTasks    []int
}

// add takes the features of a batch, [to − from, width].
func (d *discriminant) add(v []float64, from, to, samples int, tasks []int) error {
	if d.origin == nil {
		d.width = len(v) / max(to-from, 1)
		if d.width > maxTaskFeatures {
			return fault.New(fault.Unsupported, "wide_task", "the heads read %d features: too many for a task prior", d.width).
				WithHint("use --joint=standardised, or cut the trunk where it is narrower")
		}
		d.origin = append([]float64(nil), v[:d.width]...)
		d.count, d.sum = make([]float64, d.tasks), make([][]float64, d.tasks)
		for h := range d.sum {
			d.sum[h] = make([]float64, d.width)
		}
		d.square = mat.NewDense(d.width, d.width, nil)
	}
	var rows []float64
	for i := from; i < to; i++ {
		x := v[(i-from)*d.width:][:d.width]
		for k := range x {
			x[k] -= d.origin[k]
		}
		h := tasks[i]
		switch {
		case h < 0 || h >= d.tasks:
		case isHeld(i, samples, HeldOut):
			d.held, d.heldTasks = append(d.held, x...), append(d.heldTasks, h)
		default:
			d.count[h]++
			for k := range x {
				d.sum[h][k] += x[k]
			}
			rows = append(rows, x...)
		}
	}
	if len(rows) > 0 {
		x := mat.NewDense(len(rows)/d.width, d.width, rows)
		var product mat.Dense
		product.Mul(x.T(), x)
		d.square.Add(d.square, &product)
	}
	return nil
}

// solve finds the discriminant with the ridge that held-out samples like best, by their log-likelihood.
func (d *discriminant) solve() (*TaskReport, []float64, []float64, error) {
	within := mat.NewSymDense(d.width, nil)
	total, trace := 0.0, 0.0
	for _, n := range d.count {
		total += n
	}
	for i := range d.width {
		for j := i; j < d.width; j++ {
			s := d.square.At(i, j)
			for h := range d.tasks {
				s -= d.sum[h][i] * d.sum[h][j] / max(d.count[h], 1)
			}
			within.SetSym(i, j, s/total)
		}
		trace += within.At(i, i)
	}
	var best *TaskReport
	var weight, bias []float64
	loss := math.Inf(1)
	for _, ridge := range taskRidges {
		w, b, err := d.at(within, max(ridge*trace/float64(d.width), math.SmallestNonzeroFloat32))
		if err != nil {
			return nil, nil, nil, err
		}
		l, right := d.judge(w, b)
		if best == nil || l < loss {
			loss, weight, bias = l, w, b
			best = &TaskReport{Features: d.width, Ridge: ridge, HeldOut: len(d.heldTasks), Accuracy: right / math.Max(float64(len(d.heldTasks)), 1)}
		}
	}
	d.center(weight)
	d.center(bias)
	for h := range d.tasks { // back to features about 0
		for k, o := range d.origin {
			bias[h] -= weight[h*d.width+k] * o
		}
	}
	return best, weight, bias, nil
}

// center subtracts what all tasks have in common, which a softmax does not see but rounding does.
func (d *discriminant) center(v []float64) {
	n := len(v) / d.tasks
	for k := range n {
		mean := 0.0
		for h := range d.tasks {
			mean += v[h*n+k] / float64(d.tasks)
		}
		for h := range d.tasks {
			v[h*n+k] -= mean
		}
	}
}

// at solves with one ridge: weights [tasks, width] and biases.
func (d *discriminant) at(within *mat.SymDense, ridge float64) (weight, bias []float64, err error) {
	s := mat.NewSymDense(d.width, nil)
	s.CopySym(within)
	for k := range d.width {
		s.SetSym(k, k, s.At(k, k)+ridge)
	}
	var chol mat.Cholesky
	if !chol.Factorize(s) {
		return nil, nil, fault.New(fault.Runtime, "singular", "the covariance of the trunk's features is not positive definite")
	}
	weight, bias = make([]float64, d.tasks*d.width), make([]float64, d.tasks)
	for h := range d.tasks {
		mean := mat.NewVecDense(d.width, nil)
		for k := range d.width {
			mean.SetVec(k, d.sum[h][k]/d.count[h])
		}
		w := mat.NewVecDense(d.width, weight[h*d.width:(h+1)*d.width])
		if err := chol.SolveVecTo(w, mean); err != nil {
			return nil, nil, fault.Wrap(fault.Runtime, "singular", err, "the covariance of the trunk's features is ill-conditioned")
		}
		bias[h] = -mat.Dot(w, mean) / 2
	}
	return weight, bias, nil
}

// judge returns the mean negative log-likelihood of the held-out samples' tasks, and how many are told rightly.
func (d *discriminant) judge(weight, bias []float64) (loss, right float64) {
	for i, task := range d.heldTasks {
		x := d.held[i*d.width:][:d.width]
		best, largest, sum := 0, math.Inf(-1), 0.0
		scores := make([]float64, d.tasks)
		for h := range scores {
			scores[h] = bias[h]
			for k := range x {
				scores[h] += weight[h*d.width+k] * x[k]
			}
			if scores[h] > largest {
				best, largest = h, scores[h]
			}
		}
		for _, s := range scores {
			sum += math.Exp(s - largest)
		}
		loss += math.Log(sum) + largest - scores[task]
		if best == task {
			right++
		}
	}
	return loss / math.Max(float64(len(d.heldTasks)), 1), right
}
