package eval

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

func TestSummarise(t *testing.T) {
	times := []float64{4, 1, 3, 2, 100}
	b := summarise(8, times, []float64{2, 1, 1, 2, 50})
	if b.Batch != 8 || b.MedianMS != 3 || b.P95MS != 100 {
		t.Errorf("%+v", b)
	}
	if b.Ratio.Value != 2 || b.Ratio.Low != 1 || b.Ratio.High != 3 { // 1 1 2 2 3
		t.Errorf("%+v", b.Ratio)
	}
	if !slices.Equal(times, []float64{4, 1, 3, 2, 100}) {
		t.Error("the rounds were sorted in place")
	}
	if got := medianDifference([]float64{5, 1, 4, 9}, []float64{1, 1, 1, 1}); got != 3.5 {
		t.Errorf("difference %v", got)
	}
	// ranks 40 and 61 of 100, as tables of the sign test have them
	hundred := make([]float64, 100)
	ones := make([]float64, 100)
	for i := range hundred {
		hundred[i], ones[i] = float64(i+1), 1
	}
	if r := ratioOf(hundred, ones); r != (Ratio{50.5, 40, 61}) {
		t.Errorf("%+v", r)
	}
}

// sleeper is an engine whose models take as many ms as they have nodes.
type sleeper struct{ open, runs int }

func (s *sleeper) Name() string { return "sleeper" }
func (s *sleeper) Open(_ context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	s.open++
	return &nap{s, time.Duration(len(m.Graph().Node)) * time.Millisecond}, nil
}

type nap struct {
	engine   *sleeper
	duration time.Duration
}

func (n *nap) Run(context.Context, map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	n.engine.runs++
	time.Sleep(n.duration)
	return nil, nil
}
func (n *nap) Close() error { n.engine.open--; return nil }

func TestLatency(t *testing.T) {
	one := scaling("x", "y", 1, 1)
	two := one.Clone()
	two.Graph().Node = append(two.Graph().Node, onnx.NewNode("Relu", "relu", []string{"y"}, []string{"z"}))
	engine := &sleeper{}
	subjects := []Subject{{"two", []*onnx.Model{two}}, {"both", []*onnx.Model{one, two}}, {"one", []*onnx.Model{one}}}
	r, err := Latency(ctx, engine, subjects, LatencyOptions{Runs: 7, Warmup: 2, Reference: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if engine.open != 0 {
		t.Errorf("%d sessions are left open", engine.open)
	}
	// two batch sizes, 9 rounds, 4 models in all, each run twice
	if engine.runs != 2*9*4*2 {
		t.Errorf("%d runs", engine.runs)
	}
	if r.Threads != 1 || r.Runs != 7 || r.Warmup != 2 || r.Reference != "one" || r.Subjects[1].Sessions != 2 {
		t.Errorf("%+v", r)
	}
	both, ok := r.Times("both", 8)
	if !ok || len(both.RoundsMS) != 7 || both.MedianMS < 3 || both.P95MS < both.MedianMS {
		t.Errorf("%+v", both)
	}
	if both.Ratio.Value < 1.5 || both.Ratio.Value > 6 { // 3, but on a busy machine naps take longer
		t.Errorf("ratio %+v", both.Ratio)
	}
	if one, _ := r.Times("one", 1); one.Ratio != (Ratio{1, 1, 1}) {
		t.Errorf("the reference against itself: %+v", one.Ratio)
	}
	if _, ok := r.Times("one", 3); ok {
		t.Error("a batch of 3 was not measured")
	}
}

func TestLatencyErrors(t *testing.T) {
	m := load(t, "fmnist_mlp_a")
	shapeless := scaling("x", "y", 1)
	shapeless.Graph().Input[0] = onnx.NewValueInfo("x", onnx.Float, nil)
	of := func(models ...*onnx.Model) []Subject { return []Subject{{"s", models}} }
	tests := []struct {
		name     string
		subjects []Subject
		options  LatencyOptions
		code     string
	}{
		{"nothing", nil, LatencyOptions{}, "no_subjects"},
		{"no such reference", of(m), LatencyOptions{Reference: "r"}, "no_reference"},
		{"two fixed batches", of(withBatch(m, 7), withBatch(m, 3)), LatencyOptions{}, "different_batches"},
		{"an input without a shape", of(shapeless), LatencyOptions{}, "unknown_shape"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			engine := &sleeper{}
			_, err := Latency(ctx, engine, test.subjects, test.options)
			if err == nil || fault.As(err).Code != test.code {
				t.Errorf("%v, want %s", err, test.code)
			}
			if engine.open != 0 {
				t.Errorf("%d sessions are left open", engine.open)
			}
		})
	}
}

func TestDeployments(t *testing.T) {
	e := orttest.Engine(t)
	a, b := load(t, "fmnist_mlp_a"), load(t, "fmnist_mlp_b")
	both := sideBySide(a, b)
	d := Deployment{Merged: both, Ensemble: both, Heads: []DeployedHead{
		{"a", []string{"a_logits"}, a}, {"b", []string{"b_logits"}, b},
	}}
	r, err := Deployments(ctx, e, d, LatencyOptions{Runs: 9, Warmup: 1, Batches: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Latency.Engine != e.Name() || r.Latency.Reference != SubjectEnsemble || len(r.AllHeads) != 1 || len(r.Routed) != 2 {
		t.Fatalf("%+v", r)
	}
	all := r.AllHeads[0]
	if all.MergedMS <= 0 || all.SeparateMS <= 0 || *all.EnsembleMS <= 0 || all.VersusEnsemble.Value <= 0 {
		t.Errorf("%+v", all)
	}
	if h := r.Routed[1]; h.Head != "b" || h.Batch != 1 || h.HeadAloneMS <= 0 || h.SourceMS <= 0 || h.MergedMS != all.MergedMS {
		t.Errorf("%+v", h)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}

	d.Ensemble = nil
	d.Heads[0].Outputs = []string{"nowhere"}
	if _, err := Deployments(ctx, e, d, LatencyOptions{}); err == nil || fault.As(err).Code != "no_output" {
		t.Errorf("%v", err)
	}
}

// TestFixedBatchLatency: a model that fixes its batch is timed with that one.
func TestFixedBatchLatency(t *testing.T) {
	e := orttest.Engine(t)
	m := load(t, "fmnist_mlp_a")
	r, err := Latency(ctx, e, []Subject{{"free", []*onnx.Model{m}}, {"fixed", []*onnx.Model{withBatch(m, 7)}}}, LatencyOptions{Runs: 2, Warmup: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Subjects {
		if len(s.Batches) != 1 || s.Batches[0].Batch != 7 {
			t.Errorf("%+v", s)
		}
	}
}

// TestOnlyOutputs: the part for one head computes what the whole does.
func TestOnlyOutputs(t *testing.T) {
	e := orttest.Engine(t)
	a, b := load(t, "fmnist_mlp_a"), load(t, "fmnist_mlp_b")
	part, err := onlyOutputs(sideBySide(a, b), []string{"b_logits"})
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Graph().Node) != len(b.Graph().Node) || len(part.Graph().Initializer) != len(b.Graph().Initializer) {
		t.Errorf("%d nodes, %d initializers", len(part.Graph().Node), len(part.Graph().Initializer))
	}
	got, err := Agreement(ctx, e, part, b, []Pair{{"b", "b_logits", "logits"}}, openData(t, "fmnist_calib.npz", b), AgreementOptions{})
	if err != nil || got[0].Error.MaxAbs != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRandomFeeds(t *testing.T) {
	m := scaling("x", "y", 1, 1, 1)
	g := m.Graph()
	g.Input = append(g.Input, onnx.NewValueInfo("ids", onnx.Int64, []onnx.Dim{{Size: -1, Param: "batch"}, {Size: 50}}))
	feeds, err := randomFeeds(m, 4)
	if err != nil {
		t.Fatal(err)
	}
	if x := feeds["x"]; !slices.Equal(x.Dims, []int64{4, 3}) {
		t.Errorf("%v", x.Dims)
	}
	ids, err := feeds["ids"].Int64s()
	if err != nil || len(ids) != 200 || slices.Min(ids) != 0 || slices.Max(ids) != 1 {
		t.Errorf("%v, %v", ids, err)
	}
	again, _ := randomFeeds(m, 4)
	if !slices.Equal(again["x"].Raw, feeds["x"].Raw) {
		t.Error("not the same every time")
	}
}

// TestSizeOf compares with the files.
func TestSizeOf(t *testing.T) {
	for _, m := range readManifest(t).Models {
		model, err := onnx.Load(models + m.File)
		if err != nil {
			t.Fatal(err)
		}
		s, err := SizeOf(model)
		if err != nil {
			t.Fatal(err)
		}
		if s.Params != m.Parameters || s.FileBytes != m.Bytes || s.FLOPsBatch != 1 || len(s.Uncounted) > 0 {
			t.Errorf("%s: %+v; want %d parameters, %d bytes", m.File, s, m.Parameters, m.Bytes)
		}
	}
	m := load(t, "fmnist_mlp_a")
	free, _ := SizeOf(m)
	fixed, err := SizeOf(withBatch(m, 7))
	if err != nil || fixed.FLOPsBatch != 7 || fixed.FLOPs != 7*free.FLOPs {
		t.Errorf("fixed batch: %+v, %v", fixed, err)
	}
}
