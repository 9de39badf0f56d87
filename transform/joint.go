package transform

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/attach"
)

// JointOutput is the name of the output over all classes of all heads.
const JointOutput = "joint"

// JointRules are the ways to one prediction over all heads. The largest entry of the output is the prediction.
//
//   - standardised: each head's logits, less the mean and divided by the deviation of its largest logit on unlabelled
//     data; heads that are confident on everything no longer drown the others.
//   - softmax: each head's probabilities.
//   - task-id: each head's probabilities, times the probability that the sample is of that head's task. That comes from a
//     linear discriminant on the trunk's features, fitted in closed form to which task's data a calibration sample came
//     from; no labels (docs/joint.md has the measurements).
var JointRules = []string{"standardised", "softmax", "task-id"}

// JointReport is the joint output that was added.
type JointReport struct {
	Rule    string   `json:"rule"`
	Output  string   `json:"output"`
	Classes []string `json:"classes"` // of its entries
	// Task says how well the task is told, with the rule task-id.
	Task *TaskReport `json:"task,omitempty"`
}

// jointHead is the output of a head that takes part.
type jointHead struct {
	name    string
	classes int64
	dtype   onnx.DType
}

// joint adds the output to a merged model. Every head must have one floating output [samples, classes]: the first such
// output is taken.
//
// Errors: fault.Unsupported where a head has no such output, fault.Data without samples, fault.Usage for an unknown
// rule, the wrong number of class names, or samples whose task is not known.
func (r *run) joint(ctx context.Context, res *Result) error {
	heads, err := r.p.jointHeads(res)
	if err != nil {
		return err
	}
	rep := &JointReport{Rule: r.o.Joint, Output: JointOutput}
	if rep.Classes, err = r.classNames(heads); err != nil {
		return err
	}
	b := &jointBuilder{m: res.Merged.Model, heads: heads}
	switch r.o.Joint {
	case "softmax":
		err = b.softmax()
	case "standardised":
		err = r.standardised(ctx, b)
	case "task-id":
		rep.Task, err = r.taskID(ctx, res, b)
	default:
		err = fault.New(fault.Usage, "unknown_setting", "there is no --joint %q", r.o.Joint).WithHint("choose one of %s", strings.Join(JointRules, ", "))
	}
	if err != nil {
		return err
	}
	b.finish(rep)
	res.Report.Joint = rep
	return nil
}

func (p *Prepared) jointHeads(res *Result) ([]jointHead, error) {
	ix, err := onnx.NewIndex(res.Merged.Model.Graph())
	if err != nil {
		return nil, err
	}
	var out []jointHead
	for i, h := range p.Heads() {
		for _, name := range p.MergedOutputs(h, res.Merged) {
			dtype, dims, _ := onnx.TensorType(ix.Output(name))
			if dtype.IsFloat() && len(dims) == 2 && dims[1].Size > 0 {
				out = append(out, jointHead{name, dims[1].Size, dtype})
				break
			}
		}
		if len(out) != i+1 {
			return nil, fault.New(fault.Unsupported, "no_joint", "head %s has no output [samples, classes]: there is no joint prediction", h.Name)
		}
	}
	if ix.Has(JointOutput) {
		return nil, fault.New(fault.Usage, "name_taken", "the merged model has a value %q already", JointOutput)
	}
	return out, nil
}

// classNames names the entries: as the user did, else HEAD:NUMBER.
func (r *run) classNames(heads []jointHead) ([]string, error) {
	var names []string
	for h, head := range heads {
		given := []string(nil)
		if h < len(r.o.Classes) {
			given = r.o.Classes[h]
		}
		if given != nil && int64(len(given)) != head.classes {
			return nil, fault.New(fault.Usage, "class_count", "%d class names for the %d entries of %q", len(given), head.classes, head.name)
		}
		for k := range int(head.classes) {
			if given != nil {
				names = append(names, given[k])
			} else {
				names = append(names, fmt.Sprintf("%s:%d", r.p.Heads()[h].Name, k))
			}
		}
	}
	return names, nil
}

// spread is mean and deviation of a head's maximum logit.
type spread struct{ mean, std float64 }

// standardised measures the heads' largest logits and adds the rule.
func (r *run) standardised(ctx context.Context, b *jointBuilder) error {
	if r.src == nil || r.src.Samples() == 0 {
		return fault.New(fault.Data, "no_data", "a standardised joint output needs data").WithHint("give it with --data, or use --joint=softmax")
	}
	stats, err := maxima(ctx, r.e, b.m, b.heads, r.src)
	if err != nil {
		return err
	}
	for h, head := range b.heads {
		scaled := b.node("Mul", h, "scaled", []string{head.name, b.scalar(h, "scale", 1/stats[h].std)})
		b.parts = append(b.parts, b.node("Add", h, "standardised", []string{scaled, b.scalar(h, "shift", -stats[h].mean/stats[h].std)}))
	}
	return nil
}

func maxima(ctx context.Context, e calibrate.Engine, m *onnx.Model, heads []jointHead, src calibrate.Source) ([]spread, error) {
	sum, square, n := make([]float64, len(heads)), make([]float64, len(heads)), 0.0
	err := calibrate.Forward(ctx, e, m, src, calibrate.ForwardOptions{}, func(b calibrate.ForwardBatch) error {
		n += float64(b.To - b.From)
		for h, head := range heads {
			v, err := b.Outputs[head.name].Float32s()
			if err != nil {
				return err
			}
			for k := 0; k < len(v); k += int(head.classes) {
				row := v[k : k+int(head.classes)]
				x := float64(row[largest(row)])
				sum[h] += x
				square[h] += x * x
			}
		}
		return nil
	})
	out := make([]spread, len(heads))
	for h := range out {
		mean := sum[h] / n
		out[h] = spread{mean, math.Sqrt(max(square[h]/n-mean*mean, 1e-12))}
	}
	return out, err
}

// jointBuilder adds the nodes of a rule: parts are what each head contributes.
type jointBuilder struct {
	m     *onnx.Model
	heads []jointHead
	parts []string
}

func (b *jointBuilder) name(h int, what string) string {
	return fmt.Sprintf("%s/%d/%s", JointOutput, h, what)
}

// scalar adds a constant of a head's type.
func (b *jointBuilder) scalar(h int, what string, v float64) string {
	name := b.name(h, what)
	g := b.m.Graph()
	g.Initializer = append(g.Initializer, onnx.FromFloat64(b.heads[h].dtype, []float64{v}).Proto(name))
	return name
}

func (b *jointBuilder) node(op string, h int, what string, inputs []string, attrs ...*onnx.Attribute) string {
	name := b.name(h, what)
	g := b.m.Graph()
	g.Node = append(g.Node, onnx.NewNode(op, name, inputs, []string{name}, attrs...))
	return name
}

// softmax adds each head's probabilities.
func (b *jointBuilder) softmax() error {
	for h, head := range b.heads {
		b.parts = append(b.parts, b.node("Softmax", h, "probabilities", []string{head.name}, onnx.Int("axis", 1)))
	}
	return nil
}

// finish puts the parts one after the other and declares the output.
func (b *jointBuilder) finish(rep *JointReport) {
	g := b.m.Graph()
	total := int64(0)
	for _, head := range b.heads {
		total += head.classes
	}
	var batch onnx.Dim
	for _, v := range g.Output {
		if v.GetName() == b.heads[0].name {
			_, dims, _ := onnx.TensorType(v)
			batch = dims[0]
		}
	}
	g.Node = append(g.Node, onnx.NewNode("Concat", JointOutput, b.parts, []string{JointOutput}, onnx.Int("axis", 1)))
	g.Output = append(g.Output, onnx.NewValueInfo(JointOutput, b.heads[0].dtype, []onnx.Dim{batch, {Size: total}}))
	b.m.SetMetadata("onnx_zip.joint.classes", strings.Join(rep.Classes, ","))
	b.m.SetMetadata("onnx_zip.joint.rule", rep.Rule)
	b.m.SetMetadata(attach.JointKey, JointOutput)
}
