package eval

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// TestAgreementByHand doubles one of two outputs.
func TestAgreementByHand(t *testing.T) {
	e := orttest.Engine(t)
	merged, source := scaling("x", "m", 2, 1), scaling("ids", "s", 1, 1)
	src := rows{"x", [][]float32{{3, 4}, {3, 7}, {0, 0}, {-3, 1}}}
	o := AgreementOptions{Options: Options{Batch: 3}, SourceData: Rename(src, map[string]string{"x": "ids"})}
	got, err := Agreement(ctx, e, merged, source, []Pair{{"a", "m", "s"}}, src, o)
	if err != nil {
		t.Fatal(err)
	}
	// merged: (6 4) (6 7) (0 0) (-6 1), so the first sample alone differs in its largest element
	if len(got) != 1 || got[0].Samples != 4 || !slices.Equal(got[0].Agrees, []bool{false, true, true, true}) || got[0].Top1.Correct != 3 {
		t.Fatalf("%+v", got)
	}
	d := got[0].Error
	near(t, "relative", *d.RelativeL2, math.Sqrt(27.0/(9+16+9+49+9+1)), 1e-12)
	if d.Elements != 8 || d.MaxAbs != 3 || d.MeanAbs != 9.0/8 || d.P50 != 0 || d.P90 != 3 {
		t.Errorf("%+v", d)
	}
}

// TestAgreementOfRealModels: two models side by side are what they were; one is not the other.
func TestAgreementOfRealModels(t *testing.T) {
	e := orttest.Engine(t)
	a, b := load(t, "fmnist_mlp_a"), load(t, "fmnist_mlp_b")
	merged := sideBySide(a, b)
	src := openData(t, "fmnist_calib.npz", merged)
	pairs := []Pair{{"a", "a_logits", "logits"}, {"b", "b_logits", "logits"}}
	got, err := Agreement(ctx, e, merged, a, pairs, src, AgreementOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if own := got[0]; own.Top1.Value != 1 || own.Top1.N != 640 || *own.Error.RelativeL2 > 1e-6 || own.Error.Elements != 640*5 {
		t.Errorf("own source: %+v", own)
	}
	if other := got[1]; other.Top1.Value > 0.6 || *other.Error.RelativeL2 < 0.5 || other.Error.P50 > other.Error.P99 {
		t.Errorf("other source: %+v", other)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}

	fixed, err := Agreement(ctx, e, merged, withBatch(a, 7), pairs[:1], src, AgreementOptions{})
	if err != nil || fixed[0].Samples != 640 || fixed[0].Top1.Value != 1 {
		t.Errorf("a source with a fixed batch: %+v, %v", fixed, err)
	}
}

func TestAgreementErrors(t *testing.T) {
	e := orttest.Engine(t)
	src := rows{"x", [][]float32{{1, 2}, {3, 4}, {5, 6}}}
	pair := []Pair{{"a", "y", "y"}}
	wide := scaling("x", "y", 1, 1)
	wide.Graph().Node = append(wide.Graph().Node, onnx.NewNode("Concat", "twice", []string{"h", "h"}, []string{"y"}, onnx.Int("axis", 1)))
	wide.Graph().Node[0].Output[0] = "h"
	wide.Graph().Output[0] = onnx.NewValueInfo("y", onnx.Float, []onnx.Dim{{Size: -1, Param: "batch"}, {Size: 4}})

	model := scaling("x", "y", 1, 1)
	tests := []struct {
		name   string
		source *onnx.Model
		pairs  []Pair
		code   string
	}{
		{"no such output", model, []Pair{{"a", "y", "z"}}, "no_output"},
		{"another shape", wide, pair, "output_shape"},
		{"an input that the data lacks", scaling("ids", "y", 1, 1), pair, "missing_input"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Agreement(ctx, e, model, test.source, test.pairs, src, AgreementOptions{Options: Options{Batch: 1}})
			if err == nil || fault.As(err).Code != test.code {
				t.Errorf("%v, want %s", err, test.code)
			}
		})
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Agreement(cancelled, e, model, model, pair, src, AgreementOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := commonBatch(withBatch(load(t, "fmnist_mlp_a"), 7), withBatch(load(t, "fmnist_mlp_a"), 3), 0); err == nil {
		t.Error("batches of 7 and 3 are one")
	}
}

// TestOtherRanks: outputs that are no class scores have errors only.
func TestOtherRanks(t *testing.T) {
	c := comparison{}
	image := onnx.FromFloat32([]float32{1, 2, 3, 4}, 1, 1, 2, 2)
	if err := c.add(1, image, image); err != nil {
		t.Fatal(err)
	}
	if r := c.result(); r.Top1 != nil || r.Agrees != nil || r.Error.Elements != 4 || *r.Error.RelativeL2 != 0 {
		t.Errorf("%+v", r)
	}
}

func TestDeviationNotFinite(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	var d deviations
	d.add([]float64{1, nan, inf, inf, 2}, []float64{0, 1, inf, 1, 0})
	r := d.result()
	if r.NotFinite != 2 || r.Elements != 3 || r.MaxAbs != 2 || r.MeanAbs != 1 {
		t.Errorf("%+v", r)
	}
	if r.RelativeL2 != nil {
		t.Errorf("relative to zero: %v", *r.RelativeL2)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestQuantiles(t *testing.T) {
	var q quantiles
	for _, x := range []float64{5, 1, 4, 2, 3, 10, 9, 8, 7, 6} {
		q.add(x)
	}
	if got := q.at(0, .1, .5, .55, .9, 1); !slices.Equal(got, []float64{1, 1, 5, 6, 9, 10}) {
		t.Errorf("%v", got)
	}
	if got := new(quantiles).at(.5); got[0] != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestQuantilesInBins compares the bins with exact quantiles.
func TestQuantilesInBins(t *testing.T) {
	defer func(n int) { exactLimit = n }(exactLimit)
	random := rand.New(rand.NewPCG(1, 2))
	var exact, binned quantiles
	values := make([]float64, 10_000)
	for i := range values {
		values[i] = math.Exp(5 * random.NormFloat64())
		if i%10 == 0 {
			values[i] = 0
		}
	}
	for _, x := range values {
		exactLimit = 1 << 20
		exact.add(x)
		exactLimit = 100
		binned.add(x)
	}
	p := []float64{.05, .1, .2, .5, .9, .99, .999, 1}
	want, got := exact.at(p...), binned.at(p...)
	for i := range p {
		if math.Abs(got[i]-want[i]) > 0.0101*want[i] {
			t.Errorf("p = %v: %v, want %v", p[i], got[i], want[i])
		}
	}
	if binned.exact != nil || len(binned.bins) > 5000 {
		t.Errorf("%d values, %d bins", len(binned.exact), len(binned.bins))
	}
}
