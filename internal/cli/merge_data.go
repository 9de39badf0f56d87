package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// headNames lists the heads of the merge: the models', or those of merged files among them.
func headNames(p *transform.Prepared) []string {
	var names []string
	for _, h := range p.Heads() {
		names = append(names, h.Name)
	}
	return names
}

// sourcesOf describes the prepared models as sources of heads; a merged file is the source of several.
func sourcesOf(p *transform.Prepared, classes map[string][]int) ([]source, error) {
	var out []source
	for _, h := range p.Heads() {
		m := p.Originals[h.Source]
		s := source{Head: h.Name, Model: m, Rename: map[string]string{}}
		for _, row := range p.Sources.Pairing.Inputs {
			s.Rename[row[0]] = row[h.Source]
		}
		var among []string
		if h.Inner != "" {
			among = h.Outputs
		}
		logits, width, err := logitsOf(m, among)
		if list := classes[s.Head]; list != nil && err == nil && width > 0 && len(list) != width {
			return nil, usage("class_count", "--classes %s names %d classes, but output %q has %d", s.Head, len(list), logits, width).InFile(m.File)
		}
		s.Logits = logits // without one, accuracy and agreement are left out
		out = append(out, s)
	}
	return out, nil
}

// readData opens the files and checks them against the models, before anything is computed.
func (m *merging) readData(sets *datasets) error {
	if err := m.openData(sets, m.p.Originals[0], headNames(m.p)); err != nil {
		return err
	}
	if m.calib == nil && m.needsData {
		return noData(sets.inputs, "to match these models' features")
	}
	if m.calib == nil && m.f.gates.minAgreement != nil && len(m.scorer.tests) == 0 {
		return usage("gate_needs_data", "--min-agreement needs data").WithHint("give unlabelled inputs with --data FILE.npz")
	}
	if err := checkLabels(m.scorer.tests, m.sources, m.scorer.classes); err != nil {
		return err
	}
	if err := m.settleJoint(); err != nil {
		return err
	}
	return m.warnOverlap()
}

// openData opens the files for a model's inputs.
func (m *merging) openData(sets *datasets, model *onnx.Model, heads []string) (err error) {
	if sets.inputs, err = data.Inputs(model); err != nil {
		return err
	}
	var tests []headed
	for _, list := range []struct {
		flag   string
		values []string
		to     *[]headed
	}{{"data", m.f.data, &m.dataFiles}, {"test", m.f.test, &tests}} {
		for _, v := range list.values {
			h, err := optionalHead(list.flag, v, heads)
			if err != nil {
				return err
			}
			*list.to = append(*list.to, h)
		}
	}
	if len(m.dataFiles) > 0 {
		if m.calib, err = sets.calibration(m.dataFiles, m.o.Seed); err != nil {
			return err
		}
	}
	m.scorer.tests, err = sets.tests(tests)
	return err
}

// checkLabels asks for --classes where the labels cannot be the outputs' own numbers.
func checkLabels(tests []testSet, sources []source, classes map[string][]int) error {
	if len(tests) == 0 {
		return nil
	}
	for _, s := range sources {
		if s.Logits == "" {
			_, _, err := logitsOf(s.Model, nil)
			return err
		}
		_, width, _ := logitsOf(s.Model, []string{s.Logits})
		for _, set := range tests {
			if classes[s.Head] != nil && set.head == "" || width == 0 || set.head != "" && set.head != s.Head || len(set.labels) == 0 {
				continue
			}
			if top := slices.Max(set.labels); top >= int64(width) {
				return usage("classes_needed", "labels go up to %d, but head %s has %d outputs", top, s.Head, width).InFile(set.file).
					WithHint("say which classes its outputs are: --classes %s=%s", s.Head, exampleClasses(width))
			}
		}
	}
	return nil
}

func exampleClasses(n int) string {
	text := "0"
	for k := 1; k < n && k < 5; k++ {
		text += fmt.Sprintf(",%d", 2*k)
	}
	if n > 5 {
		text += ",…"
	}
	return text
}

// warnOverlap looks for test samples among the calibration samples.
func (m *merging) warnOverlap() error {
	if m.calib == nil {
		return nil
	}
	for _, t := range m.scorer.tests {
		n, err := data.Overlap(t.src, m.calib)
		if err != nil {
			return err
		}
		if n > 0 {
			m.a.warn(warning{Code: "test_in_calibration", File: t.file, Message: fmt.Sprintf(
				"%s of %d are in the calibration data too: accuracies are flattered", plural(n, "test sample"), len(t.labels))})
		}
	}
	return nil
}

// look shows what the sources make of the data.
func (m *merging) look(ctx context.Context) error {
	if m.calib == nil {
		return nil
	}
	r, err := m.scorer.sanity(ctx, m.dataFiles, m.calib, m.sources)
	if err != nil {
		return err
	}
	m.result.Data = r
	r.print(m.a)
	return nil
}

// heldOut are the samples that judge agreement: those that the refit did not see, all where they are few.
func (m *merging) heldOut() (data.Source, string, error) {
	switch {
	case m.choice != nil && m.choice.held.second != nil:
		return m.choice.held.second, m.choice.held.what, nil
	case m.calib != nil:
		index := transform.HeldOutSamples(m.calib.Samples())
		if len(index) == 0 {
			return m.calib, "calibration data", nil
		}
		held, err := data.Pick(m.calib, index)
		if err != nil { // fewer than a batch: use all
			return m.calib, "calibration data", nil
		}
		return held, "held-out calibration data", m.nameHeldOut(held)
	case len(m.scorer.tests) > 0:
		return m.scorer.tests[0].src, "test data", nil
	}
	return nil, "", nil
}

// heldOutReport names the samples that judge a merge, so that nobody tunes on them unknowingly.
type heldOutReport struct {
	Samples int           `json:"samples"`
	Files   []heldOutFile `json:"files"`
	// SHA256 is that of the samples' own hashes, in order: the same samples, whatever files they are in.
	SHA256 string `json:"sha256"`
}

type heldOutFile struct {
	File    string `json:"file"`
	Samples []int  `json:"samples"` // counted from 0
}

func (m *merging) nameHeldOut(held data.Source) error {
	r := &heldOutReport{Samples: held.Samples()}
	files := map[string]int{}
	for i := range held.Samples() {
		o := held.Origin(i)
		at, ok := files[o.File]
		if !ok {
			at = len(r.Files)
			files[o.File], r.Files = at, append(r.Files, heldOutFile{File: o.File})
		}
		r.Files[at].Samples = append(r.Files[at].Samples, o.Sample)
	}
	hashes, err := data.Fingerprint(held)
	if err != nil {
		return err
	}
	sum := sha256.New()
	for _, h := range hashes {
		sum.Write(h[:])
	}
	r.SHA256 = hex.EncodeToString(sum.Sum(nil))
	m.result.HeldOut = r
	return nil
}

// loadStaged reads the file that was written back, under its final name for messages.
func loadStaged(s *onnx.Staged, name string) (*onnx.Model, error) {
	m, err := s.Load()
	if err != nil {
		return nil, err
	}
	m.File = name
	return m, nil
}
