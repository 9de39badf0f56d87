package transform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
)

// InputShape is a shape that an input is to have. A dim of Size -1 keeps what the source declares.
type InputShape struct {
	Input string // the first model's name
	Dims  []onnx.Dim
}

// Reshaped says what shape an input of a source had, and has.
type Reshaped struct {
	File  string `json:"file"`
	Input string `json:"input"`
	Was   string `json:"was"`
	Now   string `json:"now"`
}

// ReshapeInputs gives the models' inputs other sizes, each model's as they are paired with the first's (PrepareOptions),
// and infers the shapes of all that follows. Weights are shared with the models given, which stay as they are.
//
// The error is of kind fault.Usage where there is no such input or its rank differs, and of kind fault.Unsupported
// where a size that is written into a model contradicts the shape; it names the node.
func ReshapeInputs(models []*onnx.Model, o PrepareOptions, want []InputShape) ([]*onnx.Model, []Reshaped, error) {
	heads, err := headNames(models, o.Heads)
	if err != nil {
		return nil, nil, err
	}
	var out []*onnx.Model
	var changes []Reshaped
	for i, m := range models {
		dims, err := shapesFor(models[0], m, o.MapInput[heads[i]], want)
		if err != nil {
			return nil, nil, fault.As(err).InFile(m.File)
		}
		c, err := redeclare(m, dims)
		if err != nil {
			return nil, nil, fault.As(err).InFile(m.File)
		}
		out = append(out, c)
		for k, in := range c.Graph().GetInput() {
			if dims[in.GetName()] != nil {
				changes = append(changes, Reshaped{m.File, in.GetName(), showDims(m.Graph().GetInput()[k]), showDims(in)})
			}
		}
	}
	return out, changes, nil
}

// shapesFor finds which of m's inputs get which dims.
func shapesFor(first, m *onnx.Model, mapped map[string]string, want []InputShape) (map[string][]onnx.Dim, error) {
	out := map[string][]onnx.Dim{}
	for _, w := range want {
		if inputNamed(first, w.Input) == nil {
			return nil, fault.New(fault.Usage, "input_shape", "the first model has no input of this name").AtValue(w.Input).
				WithHint("it has %s", strings.Join(inputNames(first), ", "))
		}
		in := counterpart(first, m, w.Input, mapped)
		if in == nil {
			return nil, fault.New(fault.Correspondence, "inputs_differ", "no input of the model is that of the first").AtValue(w.Input).
				WithHint("pair them with --map-input; it has %s", strings.Join(inputNames(m), ", "))
		}
		_, dims, _ := onnx.TensorType(in)
		if len(dims) != len(w.Dims) {
			return nil, fault.New(fault.Usage, "input_shape", "has %d axes, the shape asked for has %d", len(dims), len(w.Dims)).AtValue(in.GetName()).
				WithHint("it is declared as %s; a letter keeps an axis as it is", showDims(in))
		}
		for k, d := range w.Dims {
			if d.Size >= 0 {
				dims[k] = onnx.Dim{Size: d.Size}
			}
		}
		out[in.GetName()] = dims
	}
	return out, nil
}

// counterpart is m's input that goes with an input of the first model: as mapped, by name, else the only one of its
// type and rank.
func counterpart(first, m *onnx.Model, name string, mapped map[string]string) *onnx.ValueInfo {
	for from, to := range mapped {
		if to == name {
			return inputNamed(m, from)
		}
	}
	if in := inputNamed(m, name); in != nil && mapped[name] == "" {
		return in
	}
	dtype, dims, _ := onnx.TensorType(inputNamed(first, name))
	var only *onnx.ValueInfo
	for _, n := range inputNames(m) {
		other, d, _ := onnx.TensorType(inputNamed(m, n))
		if other != dtype || len(d) != len(dims) || mapped[n] != "" {
			continue
		}
		if only != nil {
			return nil
		}
		only = inputNamed(m, n)
	}
	return only
}

// inputNamed returns an input that is no initializer, nil where there is none of that name.
func inputNamed(m *onnx.Model, name string) *onnx.ValueInfo {
	if !slices.Contains(inputNames(m), name) {
		return nil
	}
	at := slices.IndexFunc(m.Graph().GetInput(), func(v *onnx.ValueInfo) bool { return v.GetName() == name })
	return m.Graph().GetInput()[at]
}

func inputNames(m *onnx.Model) []string {
	weights := map[string]bool{}
	for _, t := range m.Graph().GetInitializer() {
		weights[t.GetName()] = true
	}
	var names []string
	for _, v := range m.Graph().GetInput() {
		if !weights[v.GetName()] {
			names = append(names, v.GetName())
		}
	}
	return names
}

// showDims is "N,3,224,224".
func showDims(v *onnx.ValueInfo) string {
	_, dims, _ := onnx.TensorType(v)
	parts := make([]string, len(dims))
	for k, d := range dims {
		switch {
		case d.Size >= 0:
			parts[k] = fmt.Sprint(d.Size)
		case d.Param != "":
			parts[k] = d.Param
		default:
			parts[k] = "?"
		}
	}
	return strings.Join(parts, ",")
}

// redeclare returns a model whose inputs have other dims, its outputs those that follow.
func redeclare(m *onnx.Model, dims map[string][]onnx.Dim) (*onnx.Model, error) {
	before, err := shape.Infer(m, shape.Options{})
	if err != nil {
		return nil, err
	}
	c := m.Clone()
	for _, v := range c.Graph().GetInput() {
		if d := dims[v.GetName()]; d != nil {
			dtype, _, _ := onnx.TensorType(v)
			v.Type = onnx.NewValueInfo("", dtype, d).Type
		}
	}
	c.Graph().ValueInfo = nil // they declare the old sizes
	outputs := make([][]onnx.Dim, len(c.Graph().GetOutput()))
	for k, v := range c.Graph().GetOutput() {
		dtype, d, ok := onnx.TensorType(v)
		if outputs[k] = d; ok {
			v.Type = onnx.NewValueInfo("", dtype, nil).Type
		}
	}
	ix, err := onnx.NewIndex(c.Graph())
	if err != nil {
		return nil, err
	}
	after, contradiction := shape.Infer(c, shape.Options{})
	if contradiction != nil {
		if after, err = rewrite.ShapesThatFit(c); err != nil {
			return nil, err
		}
	}
	if err := samplesStay(ix, before, after); err != nil { // it may be the cause of the contradiction
		return nil, err
	}
	if contradiction != nil {
		f := fault.As(contradiction)
		return nil, baked(f.Node, f.Value, f.Message)
	}
	for k, v := range c.Graph().GetOutput() {
		if dtype, _, ok := onnx.TensorType(v); ok {
			v.Type = onnx.NewValueInfo("", dtype, outputDims(after[v.GetName()], before[v.GetName()], outputs[k])).Type
		}
	}
	return c, nil
}

func baked(node, value, why string) *fault.Error {
	return fault.New(fault.Unsupported, "input_shape", "does not go with the shape asked for: %s", why).AtNode(node).AtValue(value).
		WithHint("a size is written into the model there: export the model again for that shape, or choose one that all models take")
}

// samplesStay fails at the first node that kept one entry for each sample, and under the new shape does not: a
// Reshape to [-1, features] takes positions that are too many for samples.
func samplesStay(ix *onnx.Index, before, after shape.Shapes) error {
	first := ix.Inputs()[0].GetName()
	if len(before[first].Dims) == 0 || len(after[first].Dims) == 0 {
		return nil
	}
	was, is := before[first].Dims[0], after[first].Dims[0]
	for _, n := range ix.Order {
		for _, v := range n.GetOutput() {
			x, y := before[v].Dims, after[v].Dims
			if len(x) > 0 && len(y) > 0 && x[0] == was && y[0] != is && !strings.HasPrefix(y[0].Sym, "?") && readsSamples(n, after, is) {
				return baked(onnx.NodeName(n), v, fmt.Sprintf("it makes %v entries of %v samples", y[0], is))
			}
		}
	}
	return nil
}

// readsSamples reports whether something that a node reads has one entry for each sample.
func readsSamples(n *onnx.Node, shapes shape.Shapes, samples shape.Dim) bool {
	return slices.ContainsFunc(n.GetInput(), func(v string) bool {
		d := shapes[v].Dims
		return len(d) > 0 && d[0] == samples
	})
}

// outputDims declares an output: sizes that were found, else, where they did not change, as they were declared.
func outputDims(after, before shape.Value, declared []onnx.Dim) []onnx.Dim {
	if !after.HasRank {
		return nil
	}
	out := make([]onnx.Dim, len(after.Dims))
	for k, d := range after.Dims {
		out[k] = onnx.Dim{Size: -1}
		switch {
		case d.Known():
			out[k].Size = d.Size
		case len(before.Dims) == len(out) && len(declared) == len(out) && before.Dims[k] == d:
			out[k] = declared[k]
		}
	}
	return out
}

// CheckReshaped runs every model once, on random inputs of its shape: what inference does not see shows here, not in
// the middle of a merge. The error, of kind fault.Unsupported, names the file, and the node where the engine does.
func CheckReshaped(ctx context.Context, e calibrate.Engine, models []*onnx.Model) error {
	for _, m := range models {
		if err := runOnce(ctx, e, m); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f := fault.As(err)
			return baked(f.Node, f.Value, "the engine cannot run it").InFile(m.File)
		}
	}
	return nil
}

func runOnce(ctx context.Context, e calibrate.Engine, m *onnx.Model) error {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return err
	}
	n := 1
	for _, v := range ix.Inputs() {
		if _, dims, _ := onnx.TensorType(v); len(dims) > 0 && dims[0].Size > 0 {
			n = int(dims[0].Size)
		}
	}
	src, err := randomInputs(m, n, 1)
	if err != nil {
		return err
	}
	s, err := e.Open(ctx, m, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = runFirst(ctx, s, src, n)
	return err
}

// Resampled returns a model that takes its input in the sizes that now declares and scales it, by linear
// interpolation, to those that m declares; nil where that cannot be done: several inputs, or sizes other than those of
// an image's (or a signal's) positions differ, or are free.
func Resampled(m, now *onnx.Model) *onnx.Model {
	names := inputNames(m)
	if len(names) != 1 || m.Opset("") < 11 {
		return nil
	}
	in, from := inputNamed(m, names[0]), inputNamed(now, names[0])
	dtype, to, _ := onnx.TensorType(in)
	_, is, _ := onnx.TensorType(from)
	if dtype != onnx.Float || len(to) != len(is) || len(to) < 3 || to[1] != is[1] {
		return nil
	}
	scales := make([]float32, len(to))
	for k := range to {
		scales[k] = 1
		if k < 2 {
			continue
		}
		if to[k].Size < 1 || is[k].Size < 1 {
			return nil
		}
		scales[k] = float32(to[k].Size) / float32(is[k].Size)
	}
	c := m.Clone()
	g := c.Graph()
	name := in.GetName()
	scaled, roi, by := "resampled/"+name, "resampled/roi", "resampled/scales"
	onnx.RenameValue(g, name, scaled)
	is[0] = to[0] // samples are as many as m takes
	inputNamed(c, name).Type = onnx.NewValueInfo("", dtype, is).Type
	g.Initializer = append(g.Initializer, onnx.FromFloat32(scales, int64(len(scales))).Proto(by), onnx.FromFloat32(nil, 0).Proto(roi))
	resize := onnx.NewNode("Resize", "resampled", []string{name, roi, by}, []string{scaled}, onnx.StringAttr("mode", "linear"))
	g.Node = append([]*onnx.Node{resize}, g.Node...)
	return c
}
