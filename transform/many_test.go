package transform_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// copyOf is a real model with its features in another order.
func copyOf(t *testing.T, name string, seed uint64) *onnx.Model {
	t.Helper()
	single := prepare(t, real(t, name))
	trunk := findTrunk(t, single, merge.Cut{Distinct: true})
	return permuted(t, single, trunk, permutations(trunk, seed))
}

// sampled returns outputs of a model on the first samples.
func sampled(t *testing.T, m *onnx.Model, src calibrate.Source) map[string][]float64 {
	t.Helper()
	feeds, err := src.Batch(0, 32)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, engine(t), m, feeds)
}

// TestThreeCopiesZipToTheModel: three copies of a model in three orders become the model, in the FLOPs of one.
func TestThreeCopiesZipToTheModel(t *testing.T) {
	_, src := pairOf(t, "mlp", "a")
	p := prepare(t, real(t, "mlp_a"), copyOf(t, "mlp_a", 1), copyOf(t, "mlp_a", 2))
	for _, method := range []string{"best", "zip", "permute"} {
		s := preset(t, method)
		s.Refit = "none"
		res := mergeAll(t, p, src, transform.Options{Settings: s})
		want := sampled(t, real(t, "mlp_a"), src)["logits"]
		got := sampled(t, res.Model, src)
		for _, head := range []string{"a", "b", "c"} {
			if d := deviation(got[head+"_logits"], want); !(d <= 1e-5) {
				t.Errorf("%s: head %s is off by %.2g", method, head, d)
			}
		}
		if r := res.Report.Cost.FLOPsRatio; r > 0.34 {
			t.Errorf("%s: %.2f of the FLOPs of three", method, r)
		}
	}
}

// TestNoModelIsForgotten: of three models, merged in the FLOPs of one, each keeps its part in every space. Of features that are
// equal in the second and third model a subset keeps one, whosever it is.
func TestNoModelIsForgotten(t *testing.T) {
	_, src := pairOf(t, "mlp", "a")
	p := prepare(t, real(t, "mlp_a"), real(t, "mlp_b"), copyOf(t, "mlp_b", 5))
	for _, method := range []string{"best", "zip", "permute"} {
		s := preset(t, method)
		s.Refit = "none"
		for _, sp := range mergeAll(t, p, src, transform.Options{Settings: s}).Report.Spaces {
			sum := 0.0
			for i, n := range sp.Features {
				sum += sp.Share[i]
				if share := sp.Share[i]; n < sp.Dim/4 || share < 0.1 && (method != "best" || i == 0 || sp.Share[1]+sp.Share[2] < 0.2) {
					t.Errorf("%s: space %q keeps %v of the models' features, shares %.2f", method, sp.Name, sp.Features, sp.Share)
				}
			}
			if len(sp.Features) != 3 || math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: space %q: %v, %v", method, sp.Name, sp.Features, sp.Share)
			}
		}
	}
}

// TestMergedFilesMergeAgain: a merged file and a model, merged again at full width, give all three heads as they were, under
// their own names, with all that is known of where they came from; two files with the same heads are told apart. Where the
// first merge lost nothing either, (a + b) + c reproduces all three models.
func TestMergedFilesMergeAgain(t *testing.T) {
	for _, pair := range []string{"mlp", "tuned", "frozen"} {
		p, src := pairOf(t, pair, "a", "b")
		full := transform.Options{Settings: transform.Settings{Match: "full", Represent: "mean", Refit: "none"}, Joint: "softmax"}
		first := full
		if pair == "tuned" { // of one model's width, so that the next merge finds a trunk
			first.Settings = preset(t, "zip")
			first.Settings.Refit = "none"
		}
		both := mergeAll(t, p, src, first).Model
		c := copyOf(t, pair+"_a", 9)
		again, err := transform.Prepare([]*onnx.Model{both, both}, transform.PrepareOptions{Heads: []string{"x", "y"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(again); got != "x_a x_b y_a y_b" {
			t.Errorf("%s: heads %s", pair, got)
		}
		q, err := transform.Prepare([]*onnx.Model{both, c}, transform.PrepareOptions{Heads: []string{"x", "c"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(q); got != "a b c" {
			t.Fatalf("%s: heads %s", pair, got)
		}
		for _, method := range []string{"full", "ensemble"} {
			o := full
			if method == "ensemble" {
				o.Settings = preset(t, method)
			}
			res := mergeAll(t, q, src, o)
			if trunk := len(res.Trunk.Groups); (trunk > 5) != (method == "full") {
				t.Errorf("%s %s: %d nodes are shared", pair, method, trunk)
			}
			got := sampled(t, res.Model, src)
			before := sampled(t, both, src)
			for head, m := range map[string]*onnx.Model{"a": real(t, pair+"_a"), "b": real(t, pair+"_b"), "c": c} {
				want := sampled(t, m, src)["logits"]
				if pair == "tuned" && head != "c" {
					want = before[head+"_logits"]
				}
				if d := deviation(got[head+"_logits"], want); !(d <= 1e-5) {
					t.Errorf("%s %s: head %s is off by %.2g", pair, method, head, d)
				}
				one, err := transform.Extract(res.Model, head)
				if err != nil {
					t.Fatal(err)
				}
				if out := one.Graph().GetOutput(); len(out) != 1 || out[0].GetName() != "logits" {
					t.Errorf("%s: head %s taken out has the outputs %v", pair, head, out)
				}
				hash, _ := m.Hash()
				if head != "c" && res.Model.Metadata("onnx_zip.source."+head+".sha256") != hash {
					t.Errorf("%s: the origin of head %s is lost", pair, head)
				}
			}
			hash, _ := both.Hash()
			if via := res.Model.Metadata("onnx_zip.via.a.sha256"); via != hash {
				t.Errorf("%s: head a is said to come by %q, not by %s", pair, via, hash)
			}
			if got := len(got["joint"]); got != 32*15 {
				t.Errorf("%s: %d entries of the joint output", pair, got)
			}
			for _, kv := range res.Model.Proto.GetMetadataProps() {
				if strings.HasPrefix(kv.GetKey(), "x.") {
					t.Errorf("%s: property %s", pair, kv.GetKey())
				}
			}
			if heads := attach.Heads(res.Model); !slices.Equal(heads, []string{"a", "b", "c"}) {
				t.Errorf("%s: heads %v", pair, heads)
			}
		}
	}
}

func names(p *transform.Prepared) string {
	var out []string
	for _, h := range p.Heads() {
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}

// TestManyAtOnce: five models merged at once keep all heads, in the FLOPs of one.
func TestManyAtOnce(t *testing.T) {
	_, src := pairOf(t, "mlp", "a")
	models := []*onnx.Model{real(t, "mlp_a"), real(t, "mlp_b"), copyOf(t, "mlp_a", 1), copyOf(t, "mlp_b", 2), copyOf(t, "mlp_a", 3)}
	p, err := transform.Prepare(models, transform.PrepareOptions{Heads: []string{"a", "b", "c", "d", "e"}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Merge(context.Background(), engine(t), src, transform.Options{Settings: preset(t, "best")})
	if err != nil {
		t.Fatal(err)
	}
	if r := res.Report.Cost.FLOPsRatio; r > 0.21 || len(res.Report.HeldOut) != 5 {
		t.Errorf("%.2f of the FLOPs of five, %d heads judged", r, len(res.Report.HeldOut))
	}
	for _, h := range res.Report.HeldOut { // there are two networks only, in five orders
		if h.RelativeError > 0.2 {
			t.Errorf("head %s is off by %.2f", h.Head, h.RelativeError)
		}
	}
}
