package transform

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"google.golang.org/protobuf/proto"
)

func inferShapes(m *onnx.Model) (shape.Shapes, error) { return shape.Infer(m, shape.Options{}) }

func analysisInput(s *merge.Source) space.Input {
	return space.Input{Index: s.Index, Shapes: s.Shapes, Opset: s.Model.Opset("")}
}

// headFitter fits one new head to a merged trunk.
type headFitter struct {
	in   *Into
	h    *IntoHead
	e    calibrate.Engine
	src  calibrate.Source
	o    IntoOptions
	side *merge.Merged // the head's own model, with the file's inputs
}

// fit makes the head: as it is where the trunk computes the model's own values; else with the trunk's features mapped
// to the model's, and then refitted node by node. What has the least error on held-out samples stays.
func (f *headFitter) fit(ctx context.Context) error {
	if f.h.Exact {
		return f.build(make([]*attach.Map, len(f.h.Crossings)))
	}
	f.sideModel()
	fit, held := splitSource(f.src, HeldOut)
	moments, err := f.measure(ctx, fit)
	if err != nil {
		return err
	}
	if err := f.chooseMaps(ctx, moments, held); err != nil {
		return err
	}
	fitted := f.h.memory.Clone()
	fits, err := f.leastSquares(ctx, fitted, fit, held)
	if err != nil {
		return err
	}
	verdict, err := f.judge(ctx, fitted, held)
	if err != nil {
		return err
	}
	f.h.Errors["ls"] = verdict.RelativeError()
	if f.h.Errors["ls"] <= f.h.Errors["mapped"] {
		f.h.Chosen, f.h.Fits, f.h.HeldOut, f.h.memory = "ls", fits, verdict, fitted
	}
	return nil
}

// chooseMaps builds the head with maps of several ridges and keeps the one with the least error.
func (f *headFitter) chooseMaps(ctx context.Context, moments map[int]*calibrate.Moments, held calibrate.Source) error {
	var best IntoHead
	for _, ridge := range mapRidges {
		maps, err := f.solveMaps(moments, ridge)
		if err != nil {
			return err
		}
		if err := f.build(maps); err != nil {
			return err
		}
		if f.h.HeldOut, err = f.judge(ctx, f.h.memory, held); err != nil {
			return err
		}
		f.h.Errors, f.h.Chosen = map[string]float64{"mapped": f.h.HeldOut.RelativeError()}, "mapped"
		if best.memory == nil || f.h.Errors["mapped"] < best.Errors["mapped"] {
			best = *f.h
		}
	}
	*f.h = best
	return nil
}

// build makes the head behind the trunk, in float32.
func (f *headFitter) build(maps []*attach.Map) (err error) {
	if f.h.built, err = f.h.match.Build(maps, f.h.names); err != nil {
		return err
	}
	m := f.in.trunk.Model.Clone()
	m.Graph().Output = nil
	f.h.built.AddTo(m)
	f.in.imports(m, f.h.source.Model)
	f.h.memory = m.Clone()
	return attach.KeepNeeded(f.h.memory.Graph())
}

// sideModel is the head's own model with inputs named as in the file, all else prefixed.
func (f *headFitter) sideModel() {
	m := f.h.source.Model.Clone()
	g := m.Graph()
	names := map[string]string{}
	for from, to := range f.h.match.Inputs {
		names[from] = to
	}
	own := func(v string) string {
		if to, ok := names[v]; ok || v == "" {
			return to
		}
		names[v] = "source/" + v
		return names[v]
	}
	for _, v := range g.GetInput() {
		v.Name = proto.String(own(v.GetName()))
	}
	for _, t := range g.GetInitializer() {
		t.Name = proto.String(own(t.GetName()))
	}
	for _, n := range g.GetNode() {
		if n.GetName() != "" {
			n.Name = proto.String("source/" + n.GetName())
		}
		for k, v := range n.GetInput() {
			n.Input[k] = own(v)
		}
		for k, v := range n.GetOutput() {
			n.Output[k] = own(v)
		}
	}
	for _, n := range g.GetNode() {
		if onnx.HasSubgraph(n) {
			onnx.RenameCaptured(n, names)
		}
	}
	for _, v := range g.GetOutput() {
		v.Name = proto.String(own(v.GetName()))
	}
	g.ValueInfo = nil
	f.side = &merge.Merged{Model: m, Values: []map[string]string{{}, names}}
}

// leastSquares refits the head's linear nodes, the maps first, to what the model computes there.
func (f *headFitter) leastSquares(ctx context.Context, m *onnx.Model, fit, held calibrate.Source) ([]refit.Fit, error) {
	p := &Prepared{Sources: &merge.Sources{Models: []*merge.Source{f.in.trunk, f.h.source}}}
	merged := &merge.Merged{Model: m, Values: []map[string]string{{}, f.ownValues()}}
	linear, adapters, err := p.linearNodes(&merge.Trunk{}, nil, merged, f.side)
	if err != nil {
		return nil, err
	}
	nodes := f.mapNodes()
	for _, l := range linear {
		if !slices.ContainsFunc(f.h.built.Maps, func(n attach.MapNode) bool { return n.Node == l.Node }) {
			nodes = append(nodes, l)
		}
	}
	if len(nodes) == 0 {
		return nil, nil
	}
	o := f.o.Refit
	o.Batch, o.Workers = f.o.Batch, f.o.workers()
	s := refit.NewSources(f.e, f.side.Model, fit, held, o)
	defer s.Close()
	fits, err := refit.LeastSquares(ctx, m, nodes, s)
	if err != nil {
		return nil, err
	}
	return fits, adapters.fold(fits)
}

// ownValues are the values that the head itself makes.
func (f *headFitter) ownValues() map[string]string {
	made := map[string]bool{}
	for _, n := range f.h.built.Nodes {
		for _, v := range n.GetOutput() {
			made[v] = true
		}
	}
	out := map[string]string{}
	for from, to := range f.h.built.Values {
		if made[to] {
			out[from] = to
		}
	}
	return out
}

// mapNodes are the maps that are nodes of their own.
func (f *headFitter) mapNodes() []refit.Linear {
	var out []refit.Linear
	for _, n := range f.h.built.Maps {
		target := refit.Member{Value: f.side.Values[1][n.Crossing.Source]}
		for c := range n.Crossing.SourceWidth {
			target.To, target.Coef = append(target.To, c), append(target.Coef, 1)
		}
		out = append(out, refit.Linear{
			Name: n.Output, Node: n.Node, Input: n.Input, Weight: n.Weight, Bias: n.Offset, At: n.Output, Axis: n.Crossing.Axis,
			Target: []refit.Member{target}, Head: f.h.Head,
		})
	}
	return out
}

// judge compares the head's outputs with its model's.
func (f *headFitter) judge(ctx context.Context, m *onnx.Model, held calibrate.Source) (Judgement, error) {
	r := &run{e: f.e, o: Options{Batch: f.o.Batch, Workers: f.o.workers()}}
	want, err := r.outputs(ctx, f.side.Model, held)
	if err != nil {
		return nil, err
	}
	got, err := r.outputs(ctx, m, held)
	if err != nil {
		return nil, err
	}
	var out Judgement
	for k, v := range f.side.Model.Graph().GetOutput() {
		if truth, ok := want[v.GetName()]; ok {
			j := compareOutputs(got[f.h.Outputs[k]], truth)
			j.Head, j.Output, j.Samples = f.h.Head, f.h.Outputs[k], held.Samples()
			out = append(out, j)
		}
	}
	return out, nil
}

// restored is the fitted head alone, in the file's precision, with the file's names for what it reads.
func (in *Into) restored(h *IntoHead) (*onnx.Model, error) {
	part := h.memory.Clone()
	g := part.Graph()
	own := map[string]bool{}
	for _, n := range h.built.Nodes {
		own[n.GetOutput()[0]] = true
	}
	g.Node = slices.DeleteFunc(g.Node, func(n *onnx.Node) bool { return !own[n.GetOutput()[0]] })
	mine := map[string]bool{}
	for _, t := range h.built.Initializers {
		mine[t.GetName()] = true
	}
	g.Initializer = slices.DeleteFunc(g.Initializer, func(t *onnx.TensorProto) bool { return !mine[t.GetName()] })
	shapes, err := inferShapes(in.File)
	if err != nil {
		return nil, err
	}
	for _, c := range h.Crossings {
		if err := in.connect(g, c.Value, shapes, h.names); err != nil {
			return nil, err
		}
	}
	read := map[string]bool{}
	for _, n := range g.Node {
		for _, v := range onnx.Reads(n) {
			read[v] = true
		}
	}
	g.Input = slices.DeleteFunc(g.Input, func(v *onnx.ValueInfo) bool { return !read[v.GetName()] })
	if err := in.precision.Restore(part); err != nil {
		return nil, err
	}
	return part, in.avoid(g, h.names)
}

// avoid renames what restoring the precision has added under a name that the file has, too.
func (in *Into) avoid(g *onnx.Graph, names attach.Naming) error {
	ix, err := onnx.NewIndex(in.base.Graph())
	if err != nil {
		return err
	}
	for _, n := range g.Node {
		for _, v := range n.GetOutput() {
			if v != "" && ix.Has(v) {
				onnx.RenameValue(g, v, names.Value(v+"/own"))
			}
		}
	}
	return nil
}

// connect makes a head read a value of the trunk as the file has it: under its name there, and in its type.
func (in *Into) connect(g *onnx.Graph, value string, shapes shape.Shapes, names attach.Naming) error {
	from, known := in.fileValue(value, shapes)
	if !known {
		return fault.New(fault.Unsupported, "trunk_rewritten", "this value of the trunk is not in the file as it was written").AtValue(value).
			WithHint("merge the models anew")
	}
	dtype := shapes[from].DType
	if dtype == onnx.Float || dtype == in.trunk.Shapes[value].DType {
		if from != value {
			onnx.RenameValue(g, value, from)
		}
	} else {
		wide := names.Value(value + "/wide")
		onnx.RenameValue(g, value, wide)
		g.Node = append([]*onnx.Node{onnx.NewNode("Cast", names.Node(value+"/wide"), []string{from}, []string{wide}, onnx.Int("to", int64(onnx.Float)))}, g.Node...)
	}
	if !slices.ContainsFunc(g.Input, func(v *onnx.ValueInfo) bool { return v.GetName() == from }) {
		g.Input = append(g.Input, onnx.NewValueInfo(from, dtype, nil))
	}
	return nil
}

// fileValue finds a value of the trunk's common form in the file: of that name, or what a Cast stands between.
func (in *Into) fileValue(value string, shapes shape.Shapes) (string, bool) {
	if _, ok := shapes[value]; ok {
		return value, true
	}
	ix := in.trunk.Index
	for _, u := range ix.Uses(value) {
		if u.Node.GetOpType() == "Cast" && ix.Output(u.Node.GetOutput()[0]) != nil {
			return u.Node.GetOutput()[0], true
		}
	}
	if n := ix.Producer(value); n != nil && n.GetOpType() == "Cast" {
		_, ok := shapes[n.GetInput()[0]]
		return n.GetInput()[0], ok
	}
	return "", false
}
