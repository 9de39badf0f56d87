package cli

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/attach"
)

// subject is a file to judge: a merged one with its heads, or a plain model with one.
type subject struct {
	model  *onnx.Model
	merged bool
	heads  []headOutputs
}

type headOutputs struct {
	name    string
	outputs []string
	logits  string // "" where no output holds class scores
	classes int    // of logits; 0: open
}

// names lists the heads.
func (s subject) names() []string {
	var out []string
	for _, h := range s.heads {
		out = append(out, h.name)
	}
	return out
}

// subjectOf reads a merged file's heads off its metadata; a plain model is one head of the given name.
func subjectOf(m *onnx.Model, plainName string) (subject, error) {
	names := transform.Heads(m)
	if names == nil {
		h := headOutputs{name: plainName, outputs: outputNames(m)}
		h.logits, h.classes, _ = logitsOf(m, nil)
		return subject{model: m, heads: []headOutputs{h}}, nil
	}
	s := subject{model: m, merged: true}
	for _, name := range names {
		h := headOutputs{name: name}
		h.outputs = attach.Outputs(m, name)
		if len(h.outputs) == 0 {
			return s, fault.New(fault.Unsupported, "head_without_output", "head %q has no output", name).InFile(m.File).
				WithHint("merge the models anew")
		}
		h.logits, h.classes, _ = logitsOf(m, h.outputs)
		s.heads = append(s.heads, h)
	}
	return s, nil
}

var notInHead = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// stemName is the name of a plain model's head: its file's, as merge would name it.
func stemName(file string) string {
	base := filepath.Base(file)
	return notInHead.ReplaceAllString(strings.TrimSuffix(base, filepath.Ext(base)), "_")
}

// matchSources finds the head of each source file: as named (HEAD=FILE), else by the hash in the merged
// file's metadata, by the file's name, or by the order where there is one file for each head. Sources whose data were
// normalised outside of their files get that normalisation in front: as given, else as the merged file records it.
func (a *app) matchSources(s subject, files []string, flag string, normalize map[string]transform.Normalization) ([]source, error) {
	out := map[string]source{}
	for i, value := range files {
		h, err := optionalHead(flag, value, s.names())
		if err != nil {
			return nil, err
		}
		m, err := onnx.Load(h.Rest)
		if err != nil {
			return nil, err
		}
		if h.Head == "" {
			if h.Head, err = guessHead(s, m, i, len(files)); err != nil {
				return nil, err
			}
		}
		if _, twice := out[h.Head]; twice {
			return nil, usage("same_head", "two sources for head %s", h.Head).InFile(h.Rest).WithHint("write HEAD=FILE for each")
		}
		if m, err = a.normalized(s.model, m, h.Head, normalize); err != nil {
			return nil, err
		}
		if out[h.Head], err = sourceFor(s, m, h.Head); err != nil {
			return nil, err
		}
	}
	var list []source
	for _, h := range s.heads {
		if src, ok := out[h.name]; ok {
			list = append(list, src)
		}
	}
	return list, nil
}

// normalized puts in front of a head's source what normalises its data, where something does.
func (a *app) normalized(merged, m *onnx.Model, head string, given map[string]transform.Normalization) (*onnx.Model, error) {
	n, ok := given[head]
	if !ok {
		var err error
		if n, ok, err = recordedNormalization(merged, head); err != nil {
			return nil, fault.As(err).InFile(merged.File)
		}
	}
	if !ok {
		return m, nil
	}
	a.info("%s is given (x - mean) / std, %s", head, n)
	return transform.Normalize(m, n)
}

func guessHead(s subject, m *onnx.Model, i, files int) (string, error) {
	hash, err := m.Hash()
	if err != nil {
		return "", err
	}
	stem := stemName(m.File)
	for _, h := range s.names() {
		if s.model.Metadata("onnx_zip.source."+h+".sha256") == hash {
			return h, nil
		}
	}
	for _, h := range s.names() {
		if h == stem {
			return h, nil
		}
	}
	if files == len(s.heads) {
		return s.heads[i].name, nil
	}
	return "", usage("unknown_head", "which head does it belong to?").InFile(m.File).
		WithHint("write HEAD=FILE; the heads are %s", strings.Join(s.names(), ", "))
}

// sourceFor pairs a head's outputs and the inputs with its source's.
func sourceFor(s subject, m *onnx.Model, head string) (source, error) {
	h := s.heads[slices.IndexFunc(s.heads, func(h headOutputs) bool { return h.name == head })]
	src := source{Head: head, Model: m}
	src.Logits, _, _ = logitsOf(m, nil)
	var err error
	if src.Rename, err = pairInputs(s.model, m); err != nil {
		return src, err
	}
	theirs := outputNames(m)
	for k, out := range h.outputs {
		name := out
		if own := attach.Names(s.model, "output", head)[out]; own != "" {
			name = own
		}
		if !contains(theirs, name) {
			if len(theirs) != len(h.outputs) {
				return src, fault.New(fault.Correspondence, "outputs_differ", "head %s has the output %q; this model has %s",
					head, name, strings.Join(theirs, ", ")).InFile(m.File)
			}
			name = theirs[k]
		}
		src.Pairs = append(src.Pairs, eval.Pair{Head: head, Merged: out, Source: name})
	}
	return src, nil
}

// pairInputs maps a's inputs to b's: by name, else in order.
func pairInputs(a, b *onnx.Model) (map[string]string, error) {
	mine, err := data.Inputs(a)
	if err != nil {
		return nil, err
	}
	theirs, err := data.Inputs(b)
	if err != nil {
		return nil, err
	}
	if len(mine) != len(theirs) {
		return nil, fault.New(fault.Correspondence, "inputs_differ", "%d inputs, but %s has %d", len(theirs), a.File, len(mine)).InFile(b.File)
	}
	rename := map[string]string{}
	byName := func(name string) bool {
		return slices.ContainsFunc(theirs, func(in data.InputSpec) bool { return in.Name == name })
	}
	for i, in := range mine {
		other := theirs[i]
		if byName(in.Name) {
			other = theirs[slices.IndexFunc(theirs, func(x data.InputSpec) bool { return x.Name == in.Name })]
		}
		if d := inputDifference(in, other); d != "" {
			return nil, fault.New(fault.Correspondence, "inputs_differ", "%s; in %s it is different", d, a.File).InFile(b.File).AtValue(other.Name)
		}
		rename[in.Name] = other.Name
	}
	return rename, nil
}

func inputDifference(a, b data.InputSpec) string {
	if a.DType != b.DType {
		return fmt.Sprintf("the input is %v", b.DType)
	}
	if a.Dims != nil && b.Dims != nil && len(a.Dims) != len(b.Dims) {
		return fmt.Sprintf("the input has %d axes", len(b.Dims))
	}
	for k := range min(len(a.Dims), len(b.Dims)) {
		if x, y := a.Dims[k].Size, b.Dims[k].Size; x > 0 && y > 0 && x != y {
			return fmt.Sprintf("axis %d of the input has the size %d", k, y)
		}
	}
	return ""
}
