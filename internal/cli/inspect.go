package cli

import (
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// inspection is the result of inspect.
type inspection struct {
	Shared string           `json:"shared"`
	Models []modelInfo      `json:"models"`
	Shares transform.Shares `json:"shares"`
	// Prefixes are what each model does to its inputs by itself, before the trunk.
	Prefixes   []transform.PrefixReport `json:"prefixes,omitempty"`
	Spaces     []spaceInfo              `json:"spaces"`
	Ends       []endInfo                `json:"ends"` // where the trunk ends
	Cuts       []transform.CutInfo      `json:"cuts"`
	Difference *difference              `json:"first_difference"`
	Origin     *transform.Origin        `json:"origin,omitempty"`
	Forms      []transform.FormProof    `json:"forms,omitempty"`
	Exact      bool                     `json:"exact"` // the shared trunk is bit-identical: merging loses nothing
	Proofs     []proofRow               `json:"proofs,omitempty"`
	Picture    string                   `json:"svg,omitempty"` // the file that was drawn
}

// inspectFlags are the flags of inspect.
type inspectFlags struct {
	heads, mapInput []string
	inputShape      []string
	normalize       []string
	svg             string
	force, verify   bool
	data            []string
	dataset         dataFlags
	engine          engineFlags
}

type modelInfo struct {
	File       string            `json:"file"`
	Head       string            `json:"head"`
	Nodes      int               `json:"nodes"`
	Opset      int64             `json:"opset"`
	Inputs     []string          `json:"inputs"`
	Outputs    []string          `json:"outputs"`
	Provenance map[string]string `json:"provenance,omitempty"` // a merged file's own metadata
}

type spaceInfo struct {
	ID        int    `json:"id"`
	Name      string `json:"name"`
	Dim       int    `json:"dim"`            // features in the first model
	Dims      []int  `json:"dims,omitempty"` // in each model, where they differ
	Mode      string `json:"mode"`
	Why       string `json:"why,omitempty"`
	Identical bool   `json:"identical"` // made by bit-identical weights in all models
}

// endInfo is a node that could have been shared, by its inputs, and is not.
type endInfo struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// difference is the first place where the models part.
type difference struct {
	Why   string     `json:"why"`
	Value string     `json:"value,omitempty"`
	Sides []sideInfo `json:"sides"`
}

type sideInfo struct {
	File string `json:"file"`
	Node string `json:"node,omitempty"` // "" where the model has none there
	Op   string `json:"op,omitempty"`
}

func (a *app) inspectCommand() *cobra.Command {
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use: "inspect A [B…]", Short: "Show what models have in common and where they can be cut",
		Long: `Shows how much of the models can be shared, their feature spaces (sets of axes
that belong together) with what a merge may do to each, the cuts that
merge --until takes, where the models first differ, and whether they stem from
one checkpoint. What models do to their inputs before the first node that mixes
all features by weights (normalise, resize) may differ: each keeps its own. Of a
merged file it shows how it was made. Needs no data.

  zip      features may be averaged and duplicated
  permute  features may be reordered only
  pinned   features stay as they are

--verify proves the spaces of each model by running it: free spaces reordered,
features doubled, zipped with a permuted copy of itself, and beside that copy
with all features kept, the model must give the same outputs. Where it does not,
the exit code is 8 and the space that breaks it is named where one was found.`,
		Example: "  onnx-zip inspect a.onnx b.onnx\n  onnx-zip inspect merged.onnx --json\n" +
			"  onnx-zip inspect a.onnx --verify --svg a.svg",
		Args: atLeast(1, "onnx-zip inspect a.onnx b.onnx"), ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, files []string) error { return a.inspect(cmd, files, f) },
	}
	a.addGroup(cmd, "Names", func(s *pflag.FlagSet) {
		defineNames(s, &f.heads, &f.mapInput)
		defineNormalize(s, &f.normalize)
	})
	a.addGroup(cmd, "Shapes", func(s *pflag.FlagSet) { defineInputShape(s, &f.inputShape) })
	a.addGroup(cmd, "Picture", func(s *pflag.FlagSet) {
		s.StringVar(&f.svg, "svg", "", "`FILE.svg`: draw the first model's graph with its spaces coloured")
		s.BoolVar(&f.force, "force", false, "replace the file where it exists")
	})
	a.addGroup(cmd, "Proofs", f.defineProofs)
	completeFiles(cmd, "svg", "svg")
	completeFiles(cmd, "data", "npz", "npy")
	complete(cmd, "device", "auto", "cpu", "cuda")
	return cmd
}

func (f *inspectFlags) defineProofs(s *pflag.FlagSet) {
	s.BoolVar(&f.verify, "verify", false, "prove the spaces by running the models")
	s.StringArrayVar(&f.data, "data", nil, "`FILE`: inputs for it, .npz or .npy (default: random ones; repeat)")
	f.dataset.defineScaling(s)
	f.engine.defineDevice(s)
}

// defineNames are the flags that name heads and pair inputs.
func defineNames(s *pflag.FlagSet, heads, mapInput *[]string) {
	s.StringSliceVar(heads, "heads", nil, "`A,B,…`: names of the heads (default: the files' names)")
	s.StringArrayVar(mapInput, "map-input", nil, "`HEAD:INPUT=FIRST`: pair an input with the first model's (repeat)")
}

func (a *app) inspect(cmd *cobra.Command, files []string, f *inspectFlags) error {
	if err := f.checkVerify(cmd); err != nil {
		return err
	}
	if err := f.checkSVG(files); err != nil {
		return err
	}
	p, err := a.prepare(files, f.heads, f.mapInput, f.normalize, f.reshape)
	if err != nil {
		return err
	}
	if err := f.adoptForms(cmd.Context(), a, p); err != nil {
		return err
	}
	trunk, err := p.Widest()
	if err != nil {
		return err
	}
	in, err := inspectionOf(p, trunk)
	if err != nil {
		return err
	}
	a.doc.Result = in
	if f.verify {
		if err := a.verify(cmd.Context(), f, p, in); err != nil {
			return err
		}
	}
	if f.svg != "" {
		if err := a.draw(f, p, trunk, in); err != nil {
			return err
		}
	}
	a.printInspection(in)
	return proofError(in.Proofs)
}

// reshape gives models the input shapes asked for. Nothing is run, so a fixed batch stays.
func (f *inspectFlags) reshape(models []*onnx.Model, o transform.PrepareOptions) ([]*onnx.Model, error) {
	shapes, err := parseInputShapes(f.inputShape)
	if err != nil || shapes == nil {
		return models, err
	}
	models, _, err = transform.ReshapeInputs(models, o, shapes)
	return models, err
}

// prepare loads models, changes them, and brings them into their common form.
func (a *app) prepare(files, heads, mapInput, normalize []string, change changer) (*transform.Prepared, error) {
	mapped, err := parseMapInput(mapInput)
	if err != nil {
		return nil, err
	}
	normalized, err := parseNormalize(normalize)
	if err != nil {
		return nil, err
	}
	models, err := a.loadModels(files)
	if err != nil {
		return nil, err
	}
	o := transform.PrepareOptions{Heads: heads, MapInput: mapped, Files: models, Normalize: normalized}
	if models, err = change(models, o); err != nil {
		return nil, err
	}
	p, err := transform.Prepare(models, o)
	if err != nil {
		return nil, err
	}
	names := headsOf(p)
	for head := range mapped {
		if !contains(names, head) {
			return nil, unknownHead("map-input", head+":…", head, names)
		}
	}
	return p, nil
}

func headsOf(p *transform.Prepared) []string {
	var names []string
	for _, m := range p.Sources.Models {
		names = append(names, m.Head)
	}
	return names
}

func inspectionOf(p *transform.Prepared, t *merge.Trunk) (*inspection, error) {
	in := &inspection{Forms: p.Forms, Exact: t.Exact && len(t.Groups) > 0, Spaces: []spaceInfo{}, Ends: []endInfo{}, Cuts: []transform.CutInfo{}}
	for _, e := range t.Ends {
		in.Ends = append(in.Ends, endInfo{e.Node, e.Why})
	}
	var err error
	if in.Shared, err = p.SharedLine(t); err != nil {
		return nil, err
	}
	if in.Shares, err = p.Shares(t); err != nil {
		return nil, err
	}
	if in.Prefixes, err = p.PrefixReports(nil); err != nil {
		return nil, err
	}
	cuts, err := p.Cuts()
	if err != nil {
		return nil, err
	}
	in.Cuts = append(in.Cuts, cuts...)
	for i, m := range p.Originals {
		in.Models = append(in.Models, modelInfoOf(m, p.Sources.Models[i].Head))
	}
	for _, s := range shownSpaces(p, t) {
		in.Spaces = append(in.Spaces, spaceInfo{s.ID, s.Name, s.Dim, uneven(s), s.Label(), s.Reasons(), t.Identical[s]})
	}
	if len(p.Originals) < 2 {
		in.Shared = strings.Replace(in.Shared, "shared trunk:", "can be shared:", 1)
		in.Exact = false
		return in, nil
	}
	in.Difference = differenceOf(p)
	if len(t.Groups) == 0 {
		return in, nil // no weights to compare
	}
	origin, err := p.Origin()
	in.Origin = &origin
	return in, err
}

// shownSpaces are the trunk's and the pinned ones that it leaves to the heads; where nothing is shared, all of the
// first model's.
func shownSpaces(p *transform.Prepared, t *merge.Trunk) []*space.Space {
	if len(t.Groups) == 0 {
		return p.Sources.Full.Spaces
	}
	shown := append([]*space.Space(nil), t.Analysis.Spaces...)
	for _, s := range t.PinnedOutside(p.Sources) {
		pinned := *s
		pinned.ID = len(shown)
		shown = append(shown, &pinned)
	}
	return shown
}

func modelInfoOf(m *onnx.Model, head string) modelInfo {
	info := modelInfo{File: m.File, Head: head, Nodes: len(m.Graph().GetNode()), Opset: m.Opset(""), Outputs: outputNames(m)}
	if ix, err := onnx.NewIndex(m.Graph()); err == nil {
		for _, v := range ix.Inputs() {
			info.Inputs = append(info.Inputs, v.GetName())
		}
	}
	for _, kv := range m.Proto.GetMetadataProps() {
		if key, ok := strings.CutPrefix(kv.GetKey(), "onnx_zip."); ok {
			if info.Provenance == nil {
				info.Provenance = map[string]string{}
			}
			info.Provenance[key] = kv.GetValue()
		}
	}
	return info
}

func differenceOf(p *transform.Prepared) *difference {
	first := p.Sources.Pairing.First
	if first == nil {
		return nil
	}
	d := &difference{Why: first.Why, Value: first.Value}
	for i, n := range first.Nodes {
		side := sideInfo{File: p.Originals[i].File}
		if n != nil {
			side.Node, side.Op = onnx.NodeName(n), n.GetOpType()
		}
		d.Sides = append(d.Sides, side)
	}
	return d
}

// uneven are the numbers of features of a space in each model, nil where they are the same.
func uneven(s *space.Space) []int {
	if s.Even() {
		return nil
	}
	return s.Dims
}
