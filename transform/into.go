package transform

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Edit is what PrepareInto changes in a merged file.
type Edit struct {
	Drop     []string                     // heads that go
	Fit      []NewHead                    // heads that come, or take the place of one of the same name
	Rename   map[string]string            // "head:OUTPUT" → its name in the file; by default <head>_<output>
	MapInput map[string]map[string]string // head → its input → the file's
	// Engine, where given, runs models whose form is not the trunk's, to bring them into it where that computes the same.
	Engine calibrate.Engine
}

// NewHead is a model that becomes a head.
type NewHead struct {
	Head  string
	Model *onnx.Model
}

// Into is a merged file that is about to get other heads. What it has besides stays byte for byte.
type Into struct {
	File      *onnx.Model // as loaded; never changed
	Untouched []string    // heads that stay
	New       []*IntoHead
	Dropped   []string // heads that go, replaced ones among them

	base      *onnx.Model   // File without the heads that go
	trunk     *merge.Source // its trunk, in common form
	precision rewrite.Precision
	order     []string // of the heads in the new file
}

// IntoHead is one new head: where it reads the trunk, and what became of it.
type IntoHead struct {
	Head    string   `json:"head"`
	File    string   `json:"file"`
	SHA256  string   `json:"sha256"`
	Outputs []string `json:"outputs"` // in the new file
	// SharedNodes of the model's nodes are computed by the trunk.
	SharedNodes int               `json:"shared_nodes"`
	Nodes       int               `json:"nodes"`
	Crossings   []attach.Crossing `json:"crossings"`
	Form        *FormProof        `json:"form,omitempty"` // where its form is not the trunk's
	// Exact says that the head equals its model: the trunk computes what the model's own does, bit for bit.
	Exact bool `json:"exact"`
	// Errors are relative errors of the outputs on held-out samples: with the trunk's features mapped to the model's
	// (mapped), and refitted node by node (ls). Chosen is the lesser.
	Errors  map[string]float64 `json:"relative_error,omitempty"`
	Chosen  string             `json:"chosen,omitempty"`
	Fits    []refit.Fit        `json:"fits,omitempty"`
	HeldOut Judgement          `json:"held_out,omitempty"`

	Original *onnx.Model `json:"-"`
	source   *merge.Source
	match    *attach.Match
	names    attach.Naming
	built    *attach.Head
	memory   *onnx.Model // trunk and head in float32, as fitted
}

// PrepareInto finds where the new heads read the file's trunk. Errors: fault.Model for a file that onnx-zip has not
// written, fault.Usage for unknown or doubled heads, fault.Correspondence where the trunk computes nothing of a model,
// fault.Unsupported for what cannot be read.
func PrepareInto(ctx context.Context, file *onnx.Model, e Edit) (*Into, error) {
	heads := Heads(file)
	if heads == nil {
		return nil, fault.New(fault.Model, "not_merged", "no heads are recorded: onnx-zip has not written this file").InFile(file.File)
	}
	in := &Into{File: file, Dropped: slices.Clone(e.Drop), order: heads}
	for _, n := range e.Fit {
		if slices.Contains(heads, n.Head) {
			in.Dropped = append(in.Dropped, n.Head)
		} else {
			in.order = append(in.order, n.Head)
		}
	}
	in.order = slices.DeleteFunc(in.order, func(h string) bool { return slices.Contains(e.Drop, h) })
	in.Untouched = slices.DeleteFunc(Heads(file), func(h string) bool { return slices.Contains(in.Dropped, h) })
	if len(in.order) == 0 {
		return nil, fault.New(fault.Usage, "no_head_left", "no head would be left").InFile(file.File)
	}
	values, err := attach.Trunk(file)
	if err != nil {
		return nil, fault.As(err).InFile(file.File)
	}
	if in.base, err = attach.Drop(file, in.Dropped, values); err != nil || len(e.Fit) == 0 {
		return in, in.settle(err)
	}
	for _, n := range e.Fit {
		if err := in.raise(n.Model.Opset("")); err != nil {
			return nil, fault.As(err).InFile(n.Model.File)
		}
	}
	if err := in.findTrunk(values); err != nil {
		return nil, fault.As(err).InFile(file.File)
	}
	for _, n := range e.Fit {
		if err := in.match(ctx, n, e); err != nil {
			return nil, fault.As(err).InFile(n.Model.File)
		}
	}
	return in, nil
}

// settle drops what only the heads that went had used.
func (in *Into) settle(err error) error {
	if err != nil {
		return err
	}
	return attach.KeepNeeded(in.base.Graph())
}

// findTrunk brings the trunk to its common form.
func (in *Into) findTrunk(values []string) error {
	if len(values) == 0 {
		return fault.New(fault.Correspondence, "no_common_trunk", "its heads share nothing that a new one could read").
			WithHint("merge the models anew; an ensemble has no trunk")
	}
	m, err := attach.Cut(in.File, values)
	if err != nil {
		return err
	}
	if err := declare(m); err != nil {
		return err
	}
	in.trunk, _, in.precision, err = prepareOne(m, "trunk", in.base.Opset(""))
	return err
}

// declare gives a model's outputs their types.
func declare(m *onnx.Model) error {
	shapes, err := inferShapes(m)
	if err != nil {
		return err
	}
	for k, v := range m.Graph().Output {
		m.Graph().Output[k] = onnx.NewValueInfo(v.GetName(), shapes[v.GetName()].DType, nil)
	}
	return nil
}

// match finds what the trunk computes of a new head's model.
func (in *Into) match(ctx context.Context, n NewHead, e Edit) error {
	src, _, precision, err := prepareOne(n.Model, n.Head, in.base.Opset(""))
	if err != nil {
		return err
	}
	if in.precision, err = in.precision.Join(precision); err != nil {
		return err
	}
	o := pair.Options{MapInput: []map[string]string{e.MapInput[n.Head]}}
	src, form, err := in.adoptForm(ctx, e.Engine, src, o)
	if err != nil {
		return err
	}
	src, m, err := in.findShared(src, o)
	if err != nil {
		return err
	}
	hash, err := n.Model.Hash()
	if err != nil {
		return err
	}
	h := &IntoHead{
		Form: form, Head: n.Head, File: n.Model.File, SHA256: hash, SharedNodes: m.Shared, Nodes: len(src.Index.Order),
		Crossings: m.Crossings, Exact: m.Exact, Original: n.Model, source: src, match: m,
	}
	if err := in.name(h, e.Rename); err != nil {
		return err
	}
	in.New = append(in.New, h)
	return nil
}

// findShared finds what the trunk computes of a model; of one whose norms have gains, or of the same with the gains in the weights behind them
// where the trunk computes more of that: it holds combinations of a stream's features then.
func (in *Into) findShared(src *merge.Source, o pair.Options) (*merge.Source, *attach.Match, error) {
	m, err := attach.Find(analysisInput(in.trunk), analysisInput(src), o)
	plain, n, errPlain := plainSource(src, space.Analyze([]space.Input{analysisInput(src)}, nil, space.Options{}), 0)
	if errPlain != nil || n == 0 {
		return src, m, err
	}
	other, errPlain := attach.Find(analysisInput(in.trunk), analysisInput(plain), o)
	if errPlain == nil && (err != nil || other.Shared > m.Shared) {
		return plain, other, nil
	}
	return src, m, err
}

// raise writes the file for a later opset, if it is one and changes none of the file's nodes.
func (in *Into) raise(opset int64) error {
	if opset <= in.base.Opset("") {
		return nil
	}
	raised, err := rewrite.Raise(in.base, opset)
	if err != nil {
		return err
	}
	if !onnx.Equal(raised.Graph(), in.base.Graph()) {
		return fault.New(fault.Unsupported, "mixed_opsets", "it is written for opset %d, the merged file for opset %d, whose nodes would have to change",
			opset, in.base.Opset("")).WithHint("export the model with opset %d", in.base.Opset(""))
	}
	in.base = raised
	return nil
}

// name chooses the names of a head in the file. An output keeps the name that the head before it gave it.
func (in *Into) name(h *IntoHead, rename map[string]string) error {
	ix, err := onnx.NewIndex(in.base.Graph())
	if err != nil {
		return err
	}
	old := map[string]string{} // the source's output → its name in the file
	for name, source := range attach.Names(in.File, "output", h.Head) {
		old[source] = name
	}
	outputs := map[string]string{}
	for _, v := range h.source.Index.Graph.GetOutput() {
		name := old[v.GetName()]
		if asked := rename[h.Head+":"+v.GetName()]; asked != "" {
			name = asked
		}
		if name == "" {
			name = h.Head + "_" + v.GetName()
		}
		if ix.Has(name) {
			return fault.New(fault.Usage, "name_taken", "output %q of %s cannot be called %q: that name is taken", v.GetName(), h.Head, name).
				WithHint("name it with --rename %s:%s=NAME", h.Head, v.GetName())
		}
		outputs[v.GetName()] = name
		h.Outputs = append(h.Outputs, name)
	}
	taken := func(name string) bool { return ix.Has(name) || slices.Contains(h.Outputs, name) }
	h.names = attach.Naming{
		Value:  attach.Unique(taken, h.Head+"/"),
		Node:   attach.Unique(func(string) bool { return false }, h.Head+"/"),
		Output: func(name string) string { return outputs[name] },
	}
	return nil
}

// Heads lists the heads of the new file, in order.
func (in *Into) Heads() []string { return slices.Clone(in.order) }

// InputNames maps the file's inputs to the head's own.
func (h *IntoHead) InputNames() map[string]string {
	out := map[string]string{}
	for mine, theirs := range h.match.Inputs {
		out[theirs] = mine
	}
	return out
}

// NeedsData reports whether a new head has to be fitted.
func (in *Into) NeedsData() bool {
	return slices.ContainsFunc(in.New, func(h *IntoHead) bool { return !h.Exact })
}

// IntoOptions say how Fit runs.
type IntoOptions struct {
	Batch    int
	Workers  int
	Refit    refit.Options
	Progress func(stage string, done, total int)
}

// IntoResult is a merged file with other heads.
type IntoResult struct {
	Model *onnx.Model
	// Heads are those of the new file, in order; Outputs[i] those of head i.
	Heads   []string
	Outputs [][]string
	Cost    CostReport // the ensemble's part: the file as it stays, and the new heads' models beside it
}

// Fit fits the new heads to the trunk and returns the new file. Each new head is fitted to its own model's values on
// src by least squares, trunk and other heads stay as they are; src may be nil where NeedsData is false.
func (in *Into) Fit(ctx context.Context, e calibrate.Engine, src calibrate.Source, o IntoOptions) (*IntoResult, error) {
	if in.NeedsData() && (src == nil || src.Samples() < 2*HeldOut) {
		return nil, fault.New(fault.Data, "few_samples", "fitting a head needs calibration data, at least %d samples", 2*HeldOut).
			WithHint("give unlabelled inputs with --data FILE.npz")
	}
	for _, h := range in.New {
		f := &headFitter{in: in, h: h, e: e, src: src, o: o}
		if err := f.fit(ctx); err != nil {
			return nil, fault.As(err).InFile(h.File)
		}
	}
	return in.assemble()
}

// assemble puts the file together.
func (in *Into) assemble() (*IntoResult, error) {
	m := in.base.Clone()
	for _, h := range in.New {
		if err := in.attach(m, h); err != nil {
			return nil, err
		}
	}
	res := &IntoResult{Model: m, Heads: in.order}
	m.SetMetadata(attach.HeadsKey, strings.Join(in.order, ","))
	for _, head := range in.order {
		res.Outputs = append(res.Outputs, attach.Outputs(m, head))
	}
	in.orderOutputs(m, res)
	if err := attach.KeepNeeded(m.Graph()); err != nil {
		return nil, err
	}
	if _, err := onnx.NewIndex(m.Graph()); err != nil {
		return nil, fault.Wrap(fault.Internal, "invalid_merge", err, "the new graph is invalid")
	}
	var err error
	res.Cost, err = in.cost(m)
	return res, err
}

// orderOutputs sorts the outputs by head; those that belong to none stay in front.
func (in *Into) orderOutputs(m *onnx.Model, res *IntoResult) {
	place := map[string]int{}
	for i, names := range res.Outputs {
		for _, name := range names {
			place[name] = i + 1
		}
	}
	slices.SortStableFunc(m.Graph().Output, func(a, b *onnx.ValueInfo) int { return place[a.GetName()] - place[b.GetName()] })
}

// cost compares with the file as it stays and the new heads' models beside it.
func (in *Into) cost(m *onnx.Model) (CostReport, error) {
	var c CostReport
	size, err := cost.AtBatch(m, 1)
	if err != nil {
		return c, err
	}
	c.Params, c.FLOPs = size.Params, size.FLOPs
	kept := in.base.Clone()
	if err := attach.KeepNeeded(kept.Graph()); err != nil {
		return c, err
	}
	models := []*onnx.Model{kept}
	for _, h := range in.New {
		models = append(models, h.source.Model)
	}
	for _, m := range models {
		if len(m.Graph().Output) == 0 {
			continue
		}
		s, err := cost.AtBatch(m, 1)
		if err != nil {
			return c, err
		}
		c.EnsembleParams, c.EnsembleFLOPs = c.EnsembleParams+s.Params, c.EnsembleFLOPs+s.FLOPs
	}
	c.ParamsRatio, c.FLOPsRatio = ratio(c.Params, c.EnsembleParams), ratio(c.FLOPs, c.EnsembleFLOPs)
	return c, nil
}

// attach adds a fitted head to the file, in the file's precision, and says in the metadata where it came from.
func (in *Into) attach(m *onnx.Model, h *IntoHead) error {
	part, err := in.restored(h)
	if err != nil {
		return err
	}
	g := m.Graph()
	g.Node = append(g.Node, part.Graph().Node...)
	g.Initializer = append(g.Initializer, part.Graph().Initializer...)
	g.Output = append(g.Output, h.built.Outputs...)
	in.imports(m, h.source.Model)
	for _, kv := range h.Original.Proto.GetMetadataProps() {
		if m.Metadata(kv.GetKey()) != kv.GetValue() {
			m.SetMetadata(h.Head+"."+kv.GetKey(), kv.GetValue())
		}
	}
	for mine, theirs := range h.match.Inputs {
		m.SetMetadata("onnx_zip.input."+h.Head+"."+mine, theirs)
	}
	for k, out := range h.source.Index.Graph.GetOutput() {
		m.SetMetadata("onnx_zip.output."+h.Head+"."+out.GetName(), h.Outputs[k])
	}
	hash, err := in.File.Hash()
	if err != nil {
		return err
	}
	m.SetMetadata("onnx_zip.source."+h.Head+".sha256", h.SHA256)
	m.SetMetadata("onnx_zip.fitted."+h.Head, "into "+hash+" refit="+cmp.Or(h.Chosen, "none"))
	return nil
}

// imports declares what the head's operators come from.
func (in *Into) imports(m, head *onnx.Model) {
	for _, op := range head.Proto.GetOpsetImport() {
		if d := op.GetDomain(); m.Opset(d) == 0 {
			m.Proto.OpsetImport = append(m.Proto.OpsetImport, onnx.Clone(op))
		}
	}
	if v := head.Proto.GetIrVersion(); v > m.Proto.GetIrVersion() {
		m.Proto.IrVersion = &v
	}
}

// workers is the number of runs at once.
func (o IntoOptions) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}
