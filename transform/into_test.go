package transform_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
)

// edit applies an edit to a merged file, verifies the outcome, and returns it with what was done.
func edit(t *testing.T, file *onnx.Model, e transform.Edit, src calibrate.Source) (*transform.IntoResult, *transform.Into, []transform.Check) {
	t.Helper()
	in, err := transform.PrepareInto(t.Context(), file, e)
	if err != nil {
		t.Fatal(err)
	}
	res, err := in.Fit(context.Background(), engine(t), src, transform.IntoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checks, err := in.Verify(context.Background(), engine(t), res.Model, res, src)
	if err != nil {
		t.Fatal(err)
	}
	return res, in, checks
}

// bitsOf is what a model answers to the first samples, as bytes.
func bitsOf(t *testing.T, m *onnx.Model, src calibrate.Source, outputs []string) map[string]string {
	t.Helper()
	feeds, err := src.Batch(0, 16)
	if err != nil {
		t.Fatal(err)
	}
	s, err := engine(t).Open(context.Background(), m, calibrate.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	bits := map[string]string{}
	for _, name := range outputs {
		bits[name] = string(out[name].Raw)
	}
	return bits
}

// TestIntoLeavesTheRestAlone replaces a head, adds one and drops one, in merges of several widths: all other heads
// answer bit for bit as before, from the same tensors and nodes, and new heads do nearly as well as merged ones.
func TestIntoLeavesTheRestAlone(t *testing.T) {
	for _, c := range []struct {
		pair   string
		budget float64
		until  string
		folded bool // the new head's weights take the map of the features over
	}{{"vgg", 0.5, "", true}, {"mlp", 1.5, "", true}, {"tuned", 0, "cut:1", false}} {
		p, src := pairOf(t, c.pair, "a", "b")
		s := preset(t, "best")
		s.Budget = c.budget
		merged := mergeAll(t, p, src, transform.Options{Settings: s, Until: c.until})
		before := bitsOf(t, merged.Model, src, []string{"a_logits", "b_logits"})
		res, in, checks := edit(t, merged.Model, transform.Edit{
			Fit: []transform.NewHead{{Head: "b", Model: real(t, c.pair+"_b")}, {Head: "c", Model: real(t, c.pair+"_b")}},
		}, src)
		if !slices.Equal(in.Untouched, []string{"a"}) || !slices.Equal(res.Heads, []string{"a", "b", "c"}) {
			t.Fatalf("%s: heads %v, untouched %v", c.pair, res.Heads, in.Untouched)
		}
		after := bitsOf(t, res.Model, src, []string{"a_logits", "b_logits", "c_logits"})
		if after["a_logits"] != before["a_logits"] {
			t.Errorf("%s: head a answers otherwise", c.pair)
		}
		if d := in.New[1].Errors["ls"] - in.New[0].Errors["ls"]; d > 0.02 || d < -0.02 { // they sample other positions
			t.Errorf("%s: two heads of one model are off by %v and %v", c.pair, in.New[0].Errors, in.New[1].Errors)
		}
		if len(checks) < 13 {
			t.Errorf("%s: %d checks", c.pair, len(checks))
		}
		for _, x := range in.New[0].Crossings {
			if x.Folded != c.folded || c.budget > 0 && x.Width == x.SourceWidth {
				t.Errorf("%s: %+v", c.pair, x)
			}
		}
		was, is := judged(merged.Report.HeldOut, "b"), judged(in.New[0].HeldOut, "b")
		if is > 1.5*was+0.02 {
			t.Errorf("%s: the new head is off by %.3f, the merged one by %.3f", c.pair, is, was)
		}
		for _, drop := range []string{"a", "b"} {
			kept := map[string]string{"a": "b", "b": "a"}[drop]
			res, _, _ := edit(t, merged.Model, transform.Edit{Drop: []string{drop}}, src)
			if got := bitsOf(t, res.Model, src, []string{kept + "_logits"}); got[kept+"_logits"] != before[kept+"_logits"] {
				t.Errorf("%s: without %s, %s answers otherwise", c.pair, drop, kept)
			}
			if len(res.Model.Graph().Node) >= len(merged.Model.Graph().Node) || len(res.Model.Graph().Output) != 1 {
				t.Errorf("%s: nothing went with head %s", c.pair, drop)
			}
		}
	}
}

func judged(j transform.Judgement, head string) float64 {
	for _, o := range j {
		if o.Head == head {
			return o.RelativeError
		}
	}
	return -1
}

// TestIntoSameBytes: the number of workers changes no byte.
func TestIntoSameBytes(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	merged := mergeAll(t, p, src, transform.Options{Settings: preset(t, "zip")}).Model
	var files [][]byte
	for _, workers := range []int{1, 3} {
		in, err := transform.PrepareInto(t.Context(), merged, transform.Edit{Fit: []transform.NewHead{{Head: "b", Model: real(t, "mlp_b")}}})
		if err != nil {
			t.Fatal(err)
		}
		res, err := in.Fit(context.Background(), engine(t), src, transform.IntoOptions{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		file, err := res.Model.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("three workers write another file than one")
	}
}

// TestIntoIsExactWhereNothingIsLost: a trunk of full width holds a model's own features, whatever their order and
// names, so that a head attached to it reproduces the model; so does one whose trunk is the model's, bit for bit.
func TestIntoIsExactWhereNothingIsLost(t *testing.T) {
	for _, pair := range []string{"mlp", "tuned"} {
		p, src := pairOf(t, pair, "a", "b")
		merged := mergeAll(t, p, src, transform.Options{Settings: transform.Settings{Match: "full", Represent: "mean", Refit: "none"}})
		single := prepare(t, real(t, pair+"_b"))
		trunk := findTrunk(t, single, merge.Cut{})
		twin := permuted(t, single, trunk, permutations(trunk, 3))
		_, in, _ := edit(t, merged.Model, transform.Edit{Fit: []transform.NewHead{{Head: "c", Model: twin}}}, src)
		if e := judged(in.New[0].HeldOut, "c"); !(e < 1e-3) {
			t.Errorf("%s: the head is off by %.2g although the trunk has all its features: %v", pair, e, in.New[0].Errors)
		}
	}
	p, src := pairOf(t, "frozen", "a", "b")
	merged := mergeAll(t, p, nil, transform.Options{Settings: preset(t, "best")})
	res, in, _ := edit(t, merged.Model, transform.Edit{Fit: []transform.NewHead{{Head: "c", Model: real(t, "frozen_b")}}}, nil)
	if !in.New[0].Exact || in.NeedsData() {
		t.Error("a model of the same trunk needs to be fitted")
	}
	out := bitsOf(t, res.Model, src, []string{"b_logits", "c_logits"})
	if out["b_logits"] != out["c_logits"] {
		t.Error("the same model twice gives two answers")
	}
}

// TestIntoHalfPrecision attaches to a float16 file: what is added is float16 as well.
func TestIntoHalfPrecision(t *testing.T) {
	a, b := real(t, "mlp_a"), real(t, "mlp_b")
	_, src := pairOf(t, "mlp", "a", "b")
	for _, m := range []*onnx.Model{a, b} {
		if err := (rewrite.Precision{Type: onnx.Float16}).Restore(m); err != nil {
			t.Fatal(err)
		}
	}
	p := prepare(t, a, b)
	merged := mergeAll(t, p, src, transform.Options{Settings: preset(t, "zip")})
	res, in, _ := edit(t, merged.Model, transform.Edit{Fit: []transform.NewHead{{Head: "b", Model: b}}}, src)
	for _, w := range res.Model.Graph().GetInitializer() {
		if onnx.DType(w.GetDataType()) == onnx.Float {
			t.Errorf("%q is written in float32", w.GetName())
		}
	}
	if e := judged(in.New[0].HeldOut, "b"); !(e < 0.15) {
		t.Errorf("head b is off by %.2g", e)
	}
}

// TestIntoRefuses: what cannot be attached is refused, with the reason.
func TestIntoRefuses(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	merged := mergeAll(t, p, src, transform.Options{Settings: preset(t, "zip")}).Model
	ensemble := mergeAll(t, p, nil, transform.Options{Settings: preset(t, "ensemble")}).Model
	add := func(name string) transform.Edit {
		return transform.Edit{Fit: []transform.NewHead{{Head: "c", Model: real(t, name)}}}
	}
	for _, c := range []struct {
		file *onnx.Model
		edit transform.Edit
		kind fault.Kind
		code string
	}{
		{real(t, "mlp_a"), add("mlp_b"), fault.Model, "not_merged"},
		{ensemble, add("mlp_b"), fault.Correspondence, "no_common_trunk"},
		{merged, add("vgg_b"), fault.Correspondence, "no_common_trunk"},
		{merged, transform.Edit{Drop: []string{"x"}}, fault.Usage, "unknown_head"},
		{merged, transform.Edit{Drop: []string{"a", "b"}}, fault.Usage, "no_head_left"},
	} {
		_, err := transform.PrepareInto(t.Context(), c.file, c.edit)
		if e := fault.As(err); e == nil || e.Kind != c.kind || e.Code != c.code {
			t.Errorf("%v, want %s", err, c.code)
		}
	}
}

// TestSameFindsAChange: the proof that nothing changed sees a changed bit.
func TestSameFindsAChange(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	merged := mergeAll(t, p, src, transform.Options{Settings: preset(t, "zip")})
	other := merged.Model.Clone()
	outputs := attach.Outputs(merged.Model, "a")
	if n, d, err := attach.Same(merged.Model, other, outputs); err != nil || d != "" || n == 0 {
		t.Fatalf("%d nodes, %q, %v", n, d, err)
	}
	w := other.Graph().Initializer[0]
	w.RawData = append([]byte(nil), w.GetRawData()...)
	w.RawData[0] ^= 1
	if _, d, _ := attach.Same(merged.Model, other, outputs); d == "" {
		t.Error("a changed bit was not seen")
	}
}

// A model of the trunk's own weights, written by another exporter, becomes a head that needs no data: the trunk computes it bit
// for bit once both have one form. Without an engine its form ends the trunk.
func TestIntoOfAnotherExporter(t *testing.T) {
	a := zooModel(t, "vit-t17-a")
	p := prepare(t, a, zooModel(t, "vit-t17-a"))
	merged := mergeAll(t, p, nil, transform.Options{Settings: preset(t, "best")})
	other := zooModel(t, "vit-d18-a")
	e := transform.Edit{Engine: engine(t), Fit: []transform.NewHead{{Head: "c", Model: other}}}
	in, err := transform.PrepareInto(t.Context(), merged.Model, e)
	if err != nil {
		t.Fatal(err)
	}
	if c := in.New[0]; !c.Exact || in.NeedsData() || c.Nodes-c.SharedNodes != 1 || c.Form == nil {
		t.Errorf("exact %v, %d of %d nodes shared, form %+v", c.Exact, c.SharedNodes, c.Nodes, c.Form)
	}
	e.Engine = nil
	if in, err = transform.PrepareInto(t.Context(), merged.Model, e); err != nil {
		t.Fatal(err)
	}
	if c := in.New[0]; c.Nodes-c.SharedNodes < 20 {
		t.Errorf("without an engine %d of %d nodes are shared", c.SharedNodes, c.Nodes)
	}
}

// A head of a later opset raises the file, and is fitted and written at that opset.
func TestIntoOfALaterOpset(t *testing.T) {
	p := prepare(t, zooModel(t, "tagger-t13-a"), zooModel(t, "tagger-t13-b"))
	src := recurrentSamples("tagger", 80)
	merged := mergeAll(t, p, src, transform.Options{Settings: preset(t, "zip")})
	res, _, checks := edit(t, merged.Model, transform.Edit{Fit: []transform.NewHead{{Head: "b", Model: zooModel(t, "tagger-d18-b")}}}, src)
	if v := res.Model.Opset(""); v != 18 || len(checks) < 10 {
		t.Errorf("the file has opset %d, %d checks", v, len(checks))
	}
}
