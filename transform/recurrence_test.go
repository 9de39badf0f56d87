package transform_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"pgregory.net/rapid"
)

// recurrentWidths are the numbers of features of a recurrent network.
type recurrentWidths struct{ embed, first, second, dense int }

// recurrentNet is a dense layer, a bidirectional LSTM with peepholes, a GRU or RNN with a learned first state that reads it,
// and two dense layers.
func recurrentNet(t testing.TB, second string, w recurrentWidths, seed int) *onnx.Model {
	gates := map[string]int{"GRU": 3, "RNN": 1}[second]
	init := func(name string, dims ...int) string {
		seed++
		return fmt.Sprintf("%s = init f32%s random(%d)\n", name, strings.ReplaceAll(fmt.Sprint(dims), " ", ","), seed)
	}
	return onnxtest.Build(t, "opset 14\ninput x f32[N,5,6]\n"+
		init("we", 6, w.embed)+init("w1", 2, 4*w.first, w.embed)+init("r1", 2, 4*w.first, w.first)+init("b1", 2, 8*w.first)+
		init("p1", 2, 3*w.first)+init("w2", 1, gates*w.second, 2*w.first)+init("r2", 1, gates*w.second, w.second)+
		init("b2", 1, 2*gates*w.second)+init("h2", 1, 1, w.second)+init("wd", w.second, w.dense)+init("bd", w.dense)+
		init("wf", w.dense, w.dense)+init("wo", w.dense, 4)+
		fmt.Sprintf("flat = init i64[3] {0, 0, %d}\nstep = init i64[1] {1}\none = init i64[1] {1}\ntwo = init i64[1] {2}\nnul = init i64[1] {0}\n", 2*w.first)+
		"k = MatMul(x, we)\nkr = Relu(k)\nt = Transpose(kr) {perm=[1,0,2]}\n"+
		fmt.Sprintf("y = LSTM(t, w1, r1, b1, _, _, _, p1) {direction=\"bidirectional\", hidden_size=%d}\n", w.first)+
		"yt = Transpose(y) {perm=[0,2,1,3]}\nz = Reshape(yt, flat)\n"+
		"xs = Shape(x)\nn = Slice(xs, nul, step)\nsize = Concat(one, n, one) {axis=0}\nh = Expand(h2, size)\n"+
		fmt.Sprintf("y2 = %s(z, w2, r2, b2, _, h) {hidden_size=%d}\n", second, w.second)+
		"q = Squeeze(y2, one)\nd = MatMul(q, wd)\ndb = Add(d, bd)\ndr = Relu(db)\nf = MatMul(dr, wf)\nfr = Relu(f)\nlogits = MatMul(fr, wo)\noutput logits")
}

func recurrentFeeds() map[string]*onnx.Tensor {
	return map[string]*onnx.Tensor{"x": onnxtest.RandomBetween(5, -1.7, 1.7, onnx.Float, 3, 5, 6)}
}

// All features kept, models of any widths are reproduced, and each recurrence is a node of its own with the source's weights.
func TestRecurrencesStandSideBySide(t *testing.T) {
	e := engine(t)
	rapid.Check(t, func(rt *rapid.T) {
		second := rapid.SampledFrom([]string{"GRU", "RNN"}).Draw(rt, "second")
		var models []*onnx.Model
		even := rapid.Bool().Draw(rt, "even")
		width := rapid.IntRange(2, 5)
		w := recurrentWidths{width.Draw(rt, "embed"), width.Draw(rt, "first"), width.Draw(rt, "second"), width.Draw(rt, "dense")}
		for i := range rapid.IntRange(2, 3).Draw(rt, "models") {
			if !even {
				w = recurrentWidths{width.Draw(rt, "embed"), width.Draw(rt, "first"), width.Draw(rt, "second"), width.Draw(rt, "dense")}
			}
			models = append(models, recurrentNet(t, second, w, 100*i))
		}
		p := prepare(rt, models...)
		trunk := findTrunk(rt, p, merge.Cut{})
		if n := len(p.Sources.Models[0].Index.Order); len(trunk.Groups) != n-1 {
			rt.Fatalf("%d of %d nodes shared: %v", len(trunk.Groups), n, trunk.Ends)
		}
		m := build(rt, p, trunk, full(rt, p, trunk))
		newChecker(rt, e, p, recurrentFeeds()).check(rt, p, m, 1e-5)
		ix, err := onnx.NewIndex(m.Model.Graph())
		if err != nil {
			rt.Fatal(err)
		}
		found := 0
		for _, n := range ix.Order {
			if space.IsRecurrent(n) {
				i := found % len(models)
				own := p.Sources.Models[i].Index
				at := slices.IndexFunc(own.Order, func(o *onnx.Node) bool { return o.GetOpType() == n.GetOpType() })
				r, want := ix.Initializer(n.GetInput()[2]), own.Initializer(own.Order[at].GetInput()[2])
				if a, b := tensor(t, r), tensor(t, want); string(a.Raw) != string(b.Raw) {
					rt.Errorf("recurrence %d has not the weights of model %d", found, i)
				}
				found++
			}
		}
		if found != 2*len(models) {
			rt.Errorf("%d recurrences for %d models", found, len(models))
		}
	})
}

func tensor(t testing.TB, p *onnx.TensorProto) *onnx.Tensor {
	t.Helper()
	v, err := onnx.TensorOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Their features may be reordered and doubled, as the property proofs do with every free space.
func TestRecurrentFeaturesMove(t *testing.T) {
	for _, second := range []string{"GRU", "RNN"} {
		m := recurrentNet(t, second, recurrentWidths{5, 4, 6, 7}, 3)
		proveFree(t, m, "logits")
		p := prepare(t, m)
		apart := 0
		for _, sp := range findTrunk(t, p, merge.Cut{Distinct: true}).Analysis.Spaces {
			if sp.Apart != "" && sp.Mode == space.Zip {
				apart++
			}
		}
		if apart != 2 {
			t.Errorf("%d spaces of recurrences", apart)
		}
	}
}

// The trunk goes on behind recurrences where that saves FLOPs, and ends before them where the next layer is all that would be
// shared. Weights that are averaged as they are, and one model's trunk, have one recurrence.
func TestTrunkBehindRecurrences(t *testing.T) {
	for _, c := range []struct {
		net, method string
		recurrences int // in the merged model, of each kind that a source has
		behind      bool
	}{
		{"tagger-t13", "best", 2, true}, {"tagger-t13", "average", 1, true}, {"tagger-t13", "graft", 1, true},
		{"tagger-t13", "zipit", 2, true}, {"lstm-t13", "best", 4, false}, {"lstm-d18", "average", 2, true}, {"conv_gru-t13", "best", 2, false},
	} {
		p := prepare(t, zooModel(t, c.net+"-a"), zooModel(t, c.net+"-b"))
		res := mergeAll(t, p, recurrentSamples(c.net, 80), transform.Options{Settings: preset(t, c.method)})
		n := 0
		for _, node := range res.Model.Graph().GetNode() {
			if space.IsRecurrent(node) {
				n++
			}
		}
		if n != c.recurrences {
			t.Errorf("%s, %s: %d recurrences, want %d", c.net, c.method, n, c.recurrences)
		}
		behind := slices.ContainsFunc(res.Trunk.Nodes0(p.Sources), space.IsRecurrent)
		if behind != c.behind {
			t.Errorf("%s, %s: the trunk holds a recurrence: %v; it ends %v", c.net, c.method, behind, res.Trunk.Ends)
		}
	}
}

// recurrentSamples are inputs of one of the zoo's recurrent networks.
func recurrentSamples(net string, n int) samples {
	if strings.HasPrefix(net, "conv_gru") {
		return randomSamples(n, "input", 20, 24)
	}
	ids := make([]int64, 12*n)
	for k := range ids {
		ids[k] = int64(k*k*7+k*13+k/12*5) % 64
	}
	return samples{n, func(from, to int) map[string]*onnx.Tensor {
		return map[string]*onnx.Tensor{"input_ids": onnx.FromInt64(ids[12*from:12*to], int64(to-from), 12)}
	}}
}

// Least squares corrects what recurrences read, in the trunk and in the heads: a fit for each is reported, the head's node
// makes about what it makes in its source, and no node is left of what the fit took.
func TestRecurrencesAreRefitted(t *testing.T) {
	for _, c := range []struct {
		net, node string
		head      bool
	}{{"conv_gru-t13", "/gru/GRU", true}, {"tagger-t13", "/lstm/LSTM/b", false}, {"tagger-d18", "node_lstm__2/a", false}} {
		p := prepare(t, zooModel(t, c.net+"-a"), zooModel(t, c.net+"-b"))
		res := mergeAll(t, p, recurrentSamples(c.net, 640), transform.Options{Settings: preset(t, "best")})
		at := slices.IndexFunc(res.Report.Refit.Fits, func(f refit.Fit) bool { return strings.HasSuffix(f.Node, c.node) })
		if at < 0 {
			t.Fatalf("%s: no fit of %s among %+v", c.net, c.node, res.Report.Refit.Fits)
		}
		f := res.Report.Refit.Fits[at]
		if c.head != (f.Head != "") || !(f.After < f.Before) || math.IsNaN(f.After) {
			t.Errorf("%s: %+v", c.net, f)
		}
		for _, n := range res.Model.Graph().GetNode() {
			if strings.Contains(fmt.Sprint(n.GetOutput()), "/adapted") {
				t.Errorf("%s: node %q is left", c.net, onnx.NodeName(n))
			}
		}
		for _, w := range res.Model.Graph().GetInitializer() {
			if strings.Contains(w.GetName(), "/adapted") {
				t.Errorf("%s: weight %q is left", c.net, w.GetName())
			}
		}
	}
}
