package transform

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// JointOutput is the name of the output that AddJoint adds.
const JointOutput = "joint"

// AddJoint adds an output over all classes of all heads: each head's logits, standardised by the mean and deviation
// of its maximum logit on unlabelled data, one head after the other. The largest entry is the joint prediction; heads
// that are confident on everything no longer drown the others (docs/joint.md has the measurements). Every head must
// have one floating output [samples, classes]: the first such output is taken. classes, where given, name the
// entries of each head and go into the metadata (onnx_zip.joint.classes).
//
// Errors: fault.Unsupported where a head has no such output, fault.Data without samples, fault.Usage for the
// wrong number of class names.
func AddJoint(ctx context.Context, e calibrate.Engine, res *Result, src calibrate.Source, classes [][]string) error {
	if src == nil || src.Samples() == 0 {
		return fault.New(fault.Data, "no_data", "a joint output needs data to standardise the heads on").WithHint("give it with --data")
	}
	m := res.Merged.Model
	heads, err := jointHeads(res)
	if err != nil {
		return err
	}
	stats, err := maxima(ctx, e, m, heads, src)
	if err != nil {
		return err
	}
	return appendJoint(m, heads, stats, classes)
}

// jointHead is the output of a head that takes part.
type jointHead struct {
	name    string
	classes int64
	dtype   onnx.DType
}

func jointHeads(res *Result) ([]jointHead, error) {
	ix, err := onnx.NewIndex(res.Merged.Model.Graph())
	if err != nil {
		return nil, err
	}
	var out []jointHead
	for i, names := range res.Merged.Outputs {
		for _, name := range names {
			dtype, dims, _ := onnx.TensorType(ix.Output(name))
			if dtype.IsFloat() && len(dims) == 2 && dims[1].Size > 0 {
				out = append(out, jointHead{name, dims[1].Size, dtype})
				break
			}
		}
		if len(out) != i+1 {
			return nil, fault.New(fault.Unsupported, "no_joint", "head %d has no output [samples, classes]: there is no joint prediction", i+1)
		}
	}
	if ix.Has(JointOutput) {
		return nil, fault.New(fault.Usage, "name_taken", "the merged model has a value %q already", JointOutput)
	}
	return out, nil
}

// spread is mean and deviation of a head's maximum logit.
type spread struct{ mean, std float64 }

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

// appendJoint adds Mul and Add for every head, and the Concat.
func appendJoint(m *onnx.Model, heads []jointHead, stats []spread, classes [][]string) error {
	g := m.Graph()
	var parts, names []string
	total := int64(0)
	for h, head := range heads {
		if classes != nil && int64(len(classes[h])) != head.classes {
			return fault.New(fault.Usage, "class_count", "%d class names for the %d entries of %q", len(classes[h]), head.classes, head.name)
		}
		if classes != nil {
			names = append(names, classes[h]...)
		}
		base := fmt.Sprintf("%s/%d", JointOutput, h)
		add := func(what string, v float64) string {
			name := base + "/" + what
			g.Initializer = append(g.Initializer, onnx.FromFloat64(head.dtype, []float64{v}).Proto(name))
			return name
		}
		scaled, shifted := base+"/scaled", base+"/standardised"
		g.Node = append(g.Node,
			onnx.NewNode("Mul", scaled, []string{head.name, add("scale", 1/stats[h].std)}, []string{scaled}),
			onnx.NewNode("Add", shifted, []string{scaled, add("shift", -stats[h].mean/stats[h].std)}, []string{shifted}))
		parts = append(parts, shifted)
		total += head.classes
	}
	g.Node = append(g.Node, onnx.NewNode("Concat", JointOutput, parts, []string{JointOutput}, onnx.Int("axis", 1)))
	_, dims, _ := onnx.TensorType(g.Output[0])
	g.Output = append(g.Output, onnx.NewValueInfo(JointOutput, heads[0].dtype, []onnx.Dim{dims[0], {Size: total}}))
	if names != nil {
		m.SetMetadata("onnx_zip.joint.classes", strings.Join(names, ","))
	}
	m.SetMetadata("onnx_zip.joint.output", JointOutput)
	return nil
}
