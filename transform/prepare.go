package transform

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
)

// Prepared is the sources in their common form, paired and analysed: what inspect shows and every merge
// starts from.
type Prepared struct {
	Originals []*onnx.Model // the sources, perhaps with a batch that was freed or a normalisation in front
	Files     []*onnx.Model // the sources as loaded
	normalize map[string]Normalization
	joined    *Prepared // the same with all prefixes in the models, where p is without
	Sources   *merge.Sources
	Log       []rewrite.Log // what canonicalisation did to each
	Forms     []FormProof   // models that AdoptForms brought into the first one's form, or tried to
	// Precision is that of the sources, in which the merged model is written; Sources are in float32.
	Precision rewrite.Precision

	plain       *plainSources // the models with plain norms, once they were needed
	narrowed    *narrowing    // set where models keep only some of their features behind the trunk
	taskWeights []float64     // of the models; nil: they weigh the same
	pairing     pair.Options
}

// PrepareOptions name the heads and pair the inputs.
type PrepareOptions struct {
	Heads    []string                     // one per model; nil: from the file names
	MapInput map[string]map[string]string // head → its input → the first model's input
	Files    []*onnx.Model                // the models as loaded, where they were changed since; nil: as they are
	// Normalize says what a head's source wants done to its data, outside of its file. All then take raw data.
	Normalize map[string]Normalization
}

// Prepare brings models to their common form, finds shapes, pairs nodes and analyses spaces. Errors name
// the file: fault.Unsupported for what cannot be merged, fault.Correspondence for inputs that do not fit.
func Prepare(models []*onnx.Model, o PrepareOptions) (*Prepared, error) {
	heads, err := headNames(models, o.Heads)
	if err != nil {
		return nil, err
	}
	p := &Prepared{Originals: models, Files: models, normalize: o.Normalize}
	if o.Files != nil {
		p.Files = o.Files
	}
	if p.Originals, err = normalizeAll(models, heads, o.Normalize); err != nil {
		return nil, err
	}
	models = p.Originals
	var sources []*merge.Source
	opset := highestOpset(models)
	for i, m := range models {
		m, err := withoutJoint(m)
		if err != nil {
			return nil, fault.As(err).InFile(models[i].File)
		}
		s, log, precision, err := prepareOne(m, heads[i], opset)
		if i == 0 {
			p.Precision = precision
		}
		if err == nil {
			p.Precision, err = p.Precision.Join(precision)
		}
		if err != nil {
			return nil, fault.As(err).InFile(m.File)
		}
		sources, p.Log = append(sources, s), append(p.Log, log)
	}
	for _, m := range models {
		p.pairing.Files = append(p.pairing.Files, m.File)
	}
	for _, h := range heads[1:] {
		p.pairing.MapInput = append(p.pairing.MapInput, o.MapInput[h])
	}
	if err := p.pair(sources); err != nil {
		return p, err
	}
	return p, p.pairPlain()
}

// pair finds what corresponds between the models in their common form, and the spaces of that.
func (p *Prepared) pair(sources []*merge.Source) (err error) {
	if p.Sources, err = merge.NewSources(sources, p.pairing); err != nil {
		return err
	}
	changed, err := spreadScalars(p.Sources)
	if err != nil || !changed {
		return err
	}
	p.Sources, err = merge.NewSources(sources, p.pairing)
	return err
}

// normalizeAll wraps the models that want their data normalised outside of their files.
func normalizeAll(models []*onnx.Model, heads []string, normalize map[string]Normalization) ([]*onnx.Model, error) {
	for _, head := range slices.Sorted(maps.Keys(normalize)) {
		if !slices.Contains(heads, head) {
			return nil, fault.New(fault.Usage, "unknown_head", "there is no head %q to normalise for", head).
				WithHint("heads: %s", strings.Join(heads, ", "))
		}
	}
	out := slices.Clone(models)
	for i, m := range models {
		n, ok := normalize[heads[i]]
		if !ok {
			continue
		}
		var err error
		if out[i], err = Normalize(m, n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func prepareOne(m *onnx.Model, head string, opset int64) (s *merge.Source, log rewrite.Log, p rewrite.Precision, err error) {
	c, err := rewrite.Expand(m)
	if err != nil {
		return nil, nil, p, err
	}
	if err := rewrite.Refuse(c); err != nil {
		return nil, nil, p, err
	}
	c, p, err = rewrite.ToFloat32(c)
	if err != nil {
		return nil, nil, p, err
	}
	if c, log, err = commonForm(c, opset); err != nil {
		return nil, nil, p, err
	}
	s, err = newSource(c, head)
	return s, log, p, err
}

// newSource indexes a model in common form.
func newSource(m *onnx.Model, head string) (*merge.Source, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		return nil, err
	}
	return &merge.Source{Head: head, Model: m, Index: ix, Shapes: shapes}, nil
}

// commonForm canonicalises a model and raises it to an opset. Raising wants the canonical form (constants in
// one place, axes counted from the front) and leaves another one.
func commonForm(m *onnx.Model, opset int64) (*onnx.Model, rewrite.Log, error) {
	c, log, err := rewrite.Canonicalize(m)
	if err != nil || c.Opset("") == opset {
		return c, log, err
	}
	if c, err = rewrite.Raise(c, opset); err != nil {
		return nil, nil, err
	}
	c, more, err := rewrite.Canonicalize(c)
	if err != nil {
		return nil, nil, err
	}
	log.Add(more)
	return c, log, nil
}

// highestOpset is the opset that all models are brought to: an operator's meaning may differ between two.
func highestOpset(models []*onnx.Model) int64 {
	opset := int64(0)
	for _, m := range models {
		opset = max(opset, m.Opset(""))
	}
	return opset
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// headNames checks given names, or derives them: the file's stem; where stems are equal or say nothing,
// the nearest folder that differs.
func headNames(models []*onnx.Model, given []string) ([]string, error) {
	if given != nil {
		return checkHeads(given, len(models))
	}
	names := make([]string, len(models))
	paths := make([][]string, len(models)) // path elements, innermost first, the stem first of all
	for i, m := range models {
		path, err := filepath.Abs(m.File)
		if err != nil {
			path = m.File
		}
		elements := strings.Split(filepath.ToSlash(strings.TrimSuffix(path, filepath.Ext(path))), "/")
		for k := len(elements) - 1; k >= 0; k-- {
			paths[i] = append(paths[i], sanitize(elements[k]))
		}
	}
	for level := 0; ; level++ {
		seen, done := map[string]bool{}, true
		for i := range names {
			if level >= len(paths[i]) {
				return distinct(names), nil
			}
			names[i] = paths[i][level]
			if seen[names[i]] || names[i] == "model" || names[i] == "" {
				done = false
			}
			seen[names[i]] = true
		}
		if done {
			return names, nil
		}
	}
}

func sanitize(name string) string {
	name = notInName.ReplaceAllString(name, "_")
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// distinct numbers names that cannot be told apart by their paths (the same file twice).
func distinct(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		if n == "" {
			n = "model"
		}
		out[i] = fmt.Sprintf("%s_%d", n, i+1)
	}
	return out
}

func checkHeads(given []string, models int) ([]string, error) {
	if len(given) != models {
		return nil, fault.New(fault.Usage, "heads", "%d head names for %d models", len(given), models).
			WithHint("give one name for each model: --heads a,b")
	}
	seen := map[string]bool{}
	for _, h := range given {
		if h == "" || notInName.MatchString(h) {
			return nil, fault.New(fault.Usage, "heads", "%q is no name for a head", h).
				WithHint("use letters, digits and underscores")
		}
		if seen[h] {
			return nil, fault.New(fault.Usage, "heads", "two heads are named %q", h)
		}
		seen[h] = true
	}
	return given, nil
}
