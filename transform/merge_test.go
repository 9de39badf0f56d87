package transform_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// pairOf prepares halves of a real pair, with its calibration data.
func pairOf(t *testing.T, pair string, halves ...string) (*transform.Prepared, calibrate.Source) {
	t.Helper()
	var models []*onnx.Model
	for _, h := range halves {
		models = append(models, real(t, pair+"_"+h))
	}
	p, err := transform.Prepare(models, transform.PrepareOptions{Heads: halves})
	if err != nil {
		t.Fatal(err)
	}
	src, err := data.Sample(images(t, models[0], "calib"), 160, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p, src
}

// images are all of one of testdata's files, calib or test, as m reads them.
func images(t *testing.T, m *onnx.Model, file string) data.Source {
	t.Helper()
	inputs, err := data.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	all, err := data.Open(onnxtest.Root(t)+"/testdata/models/fmnist_"+file+".npz", data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { all.Close() })
	bound, err := all.Bind(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

func preset(t *testing.T, method string) transform.Settings {
	t.Helper()
	s, err := transform.Preset(method)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mergeAll(t *testing.T, p *transform.Prepared, src calibrate.Source, o transform.Options) *transform.Result {
	t.Helper()
	res, err := p.Merge(context.Background(), engine(t), src, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(context.Background(), engine(t), res.Model, res, src); err != nil {
		t.Fatal(err)
	}
	return res
}

// TestMergeOrder: on a real pair the relative error of the outputs falls from none over repair to least squares.
func TestMergeOrder(t *testing.T) {
	p, src := pairOf(t, "vgg", "a", "b")
	for _, method := range []string{"zip", "best"} {
		res := mergeAll(t, p, src, transform.Options{Settings: preset(t, method)})
		errs := res.Report.Refit.Errors
		chosen := res.Report.Refit.Chosen
		if chosen == "none" || errs[chosen] >= errs["none"]/2 {
			t.Errorf("%s chose %q with errors %v: less than half of the plain merge's was expected", method, chosen, errs)
		}
		if method == "best" && (chosen != "ls" || errs["ls"] > 0.2) {
			t.Errorf("best chose %q with errors %v", chosen, errs)
		}
	}
}

// TestBudget: the merged model keeps within its FLOPs, and below 1x a wider one errs less.
func TestBudget(t *testing.T) {
	p, src := pairOf(t, "vgg", "a", "b")
	var last float64
	for _, budget := range []float64{0.25, 0.5, 1.5} {
		s := preset(t, "best")
		s.Budget = budget
		res := mergeAll(t, p, src, transform.Options{Settings: s})
		one := float64(res.Report.Cost.EnsembleFLOPs) / 2
		if got := float64(res.Report.Cost.FLOPs) / one; got > budget || got < 0.8*budget {
			t.Errorf("a budget of %gx gives %.3fx", budget, got)
		}
		e := res.Report.HeldOut.RelativeError()
		if last > 0 && e >= last {
			t.Errorf("at %gx the outputs err by %.3f, at less by %.3f", budget, e, last)
		}
		last = e
	}
	for budget, code := range map[float64]string{2: "budget_too_large", 1e-6: "budget_too_small"} {
		s := preset(t, "best")
		s.Budget = budget
		_, err := p.Merge(context.Background(), engine(t), src, transform.Options{Settings: s})
		if err == nil || fault.As(err).Code != code {
			t.Errorf("a budget of %gx: got %v, want %s", budget, err, code)
		}
	}
}

// TestSubsetBeatsZip: at half the FLOPs of one model, features chosen by what they explain lose less than groups.
func TestSubsetBeatsZip(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	err := map[string]float64{}
	for _, match := range []string{"zip", "subset"} {
		s := preset(t, "best")
		s.Match, s.Budget = match, 0.5
		err[match] = mergeAll(t, p, src, transform.Options{Settings: s}).Report.HeldOut.RelativeError()
	}
	if !(err["subset"] < 0.85*err["zip"]) {
		t.Errorf("outputs err by %v", err)
	}
}

// TestSubsetNeedsPositions: features measured at fewer positions than one model has of them are zipped.
func TestSubsetNeedsPositions(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	trunk := findTrunk(t, p, merge.Cut{})
	stats, err := p.Measure(context.Background(), engine(t), trunk, src, false, calibrate.CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	zip, subset := preset(t, "zip"), preset(t, "best")
	for _, positions := range []float64{10, 1000} {
		for _, sp := range trunk.Analysis.Spaces {
			stats.Space(sp).N = positions
		}
		a, errA := p.Assign(trunk, stats, zip)
		b, errB := p.Assign(trunk, stats, subset)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for _, sp := range trunk.Analysis.Spaces {
			if same := slices.Equal(a[sp].Coef, b[sp].Coef); same != (positions == 10) {
				t.Errorf("at %g positions space %q is zipped: %t", positions, sp.Name, same)
			}
		}
	}
}

// TestShrink: a single model is shrunk, and keeps the names of its outputs.
func TestShrink(t *testing.T) {
	p, src := pairOf(t, "vgg", "a")
	s := preset(t, "best")
	s.Budget = 0.5
	res := mergeAll(t, p, src, transform.Options{Settings: s})
	if r := res.Report.Cost.FLOPsRatio; r > 0.5 || r < 0.4 {
		t.Errorf("%.3f of the FLOPs", r)
	}
	if got := res.Model.Graph().GetOutput()[0].GetName(); got != "logits" {
		t.Errorf("the output is called %q", got)
	}
	if e := res.Report.HeldOut.RelativeError(); e > 0.25 {
		t.Errorf("the outputs err by %.3f", e)
	}
}

// TestControls: all controls are made and judged, and a graft keeps its base exactly.
func TestControls(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	res := mergeAll(t, p, src, transform.Options{Settings: preset(t, "best"), Controls: true})
	if len(res.Report.Controls) != 3 {
		t.Fatalf("%d controls", len(res.Report.Controls))
	}
	for _, c := range res.Report.Controls {
		if len(c.HeldOut) != 2 {
			t.Fatalf("control %s judges %d outputs", c.Name, len(c.HeldOut))
		}
		if a := c.HeldOut[0]; c.Name == "graft" && a.RelativeError > 1e-6 {
			t.Errorf("a graft onto a changes head a by %g", a.RelativeError)
		}
		if b := c.HeldOut[1]; b.RelativeError == 0 || b.RelativeError > 1 || b.Agreement == nil {
			t.Errorf("control %s: head b errs by %g", c.Name, b.RelativeError)
		}
	}
}

// TestControlsOfBudgets: at other widths only random features and shrunk models are no dearer than the merge; above one source's
// size its trunk is a control again.
func TestControlsOfBudgets(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	for budget, want := range map[float64][]string{0.5: {"halves", "shrunk"}, 1.5: {"graft", "halves", "shrunk"}} {
		s := preset(t, "best")
		s.Budget = budget
		res := mergeAll(t, p, src, transform.Options{Settings: s, Controls: true})
		var got []string
		for _, c := range res.Report.Controls {
			got = append(got, c.Name)
			if c.Name == "halves" && c.FLOPs != res.Report.Cost.FLOPs || c.FLOPs > res.Report.Cost.FLOPs {
				t.Errorf("%gx: the control %s needs %d FLOPs, the merge %d", budget, c.Name, c.FLOPs, res.Report.Cost.FLOPs)
			}
			if e := c.HeldOut.RelativeError(); !(e > 0 && e < 0.5) {
				t.Errorf("%gx: the control %s errs by %g", budget, c.Name, e)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%gx: controls %v, want %v", budget, got, want)
		}
	}
}

// TestGraft: the trunk is the base's, bit for bit, whichever model that is.
func TestGraft(t *testing.T) {
	p, src := pairOf(t, "vgg", "a", "b")
	for i, base := range []string{"a", "b"} {
		s := preset(t, "graft")
		s.Base = base
		res := mergeAll(t, p, src, transform.Options{Settings: s})
		merged := map[string]*onnx.TensorProto{}
		for _, w := range res.Model.Graph().GetInitializer() {
			merged[w.GetName()] = w
		}
		compared := 0
		for _, nodes := range p.Sources.Pairing.Nodes {
			if nodes[0].GetOpType() != "Conv" {
				continue
			}
			got := merged[nodes[0].GetInput()[1]]
			want := p.Sources.Models[i].Index.Initializer(nodes[i].GetInput()[1])
			if got == nil || !bytes.Equal(got.GetRawData(), want.GetRawData()) {
				t.Errorf("graft onto %s: the weights of %q are not its own", base, nodes[0].GetName())
			}
			compared++
		}
		if compared != 6 {
			t.Errorf("%d convolutions compared, want 6", compared)
		}
	}
}

// TestFewSamples: with too few samples to hold some out, least squares falls back to repair.
func TestFewSamples(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	few, err := data.Sample(src.(data.Source), 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	res := mergeAll(t, p, few, transform.Options{Settings: preset(t, "best")})
	if got := res.Report.Refit.Chosen; got != "repair" {
		t.Errorf("with 8 samples %q was chosen", got)
	}
}

// TestFixedWidth: matchings that pair feature by feature refuse a budget, which they could not keep.
func TestFixedWidth(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	for _, method := range []string{"average", "permute", "zipit", "graft"} {
		s := preset(t, method)
		s.Budget = 0.5
		_, err := p.Merge(context.Background(), engine(t), src, transform.Options{Settings: s})
		if err == nil || fault.As(err).Code != "fixed_width" {
			t.Errorf("%s with a budget: got %v, want fixed_width", method, err)
		}
	}
}
