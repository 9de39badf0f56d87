package transform_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// A subset, and random halves, keep whole heads: each merged head imitates one head of one model, the same in queries, keys and
// values. Of a stream under norms each merged feature imitates one, and has a member of either model.
func TestSubsetKeepsWholeHeads(t *testing.T) {
	for _, match := range []string{"subset", "halves"} {
		p := prepare(t, zooModel(t, "vit-t17-a"), zooModel(t, "vit-t17-b"))
		trunk := findTrunk(t, p, merge.Cut{})
		src := randomSamples(48, "input", 3, 32, 32)
		stats, err := p.Measure(t.Context(), engine(t), trunk, src, false, captureOptions(1))
		if err != nil {
			t.Fatal(err)
		}
		as, err := p.Assign(trunk, stats, transform.Settings{Match: match, Represent: "select", Refit: "ls"})
		if err != nil {
			t.Fatal(err)
		}
		origin := map[int][]int{} // group → the head that each merged head imitates, over both models
		streams := 0
		for _, sp := range trunk.Analysis.Spaces {
			a := as[sp]
			if sp.Heads == 0 && sp.Mode.String() == "permute" {
				streams++
			}
			if sp.Heads == 0 {
				continue
			}
			d := sp.Dim / sp.Heads
			heads := make([]int, sp.Heads)
			for m, members := range a.Members() {
				if len(members) != 2 || members[0] >= sp.Dim || members[1] < sp.Dim {
					t.Fatalf("%s, %s: merged feature %d has the members %v", match, sp.Name, m, members)
				}
				for _, k := range members {
					if a.Coef[k] == 0 {
						continue
					}
					if m%d != 0 && heads[m/d] != k/d {
						t.Errorf("%s, %s: merged head %d imitates heads %d and %d", match, sp.Name, m/d, heads[m/d], k/d)
					}
					heads[m/d] = k / d
				}
			}
			if before := origin[sp.Group]; before != nil {
				for m := range heads {
					if heads[m] != before[m] {
						t.Errorf("%s, %s: merged head %d imitates head %d, in another space of its group head %d", match, sp.Name, m, heads[m], before[m])
					}
				}
			}
			origin[sp.Group] = heads
		}
		if len(origin) == 0 || streams == 0 {
			t.Fatalf("%d groups of heads, %d streams", len(origin), streams)
		}
	}
}

// The gains of norms are near 1 in any two networks, which says nothing of their origin.
func TestOriginLooksAtWeightsAlone(t *testing.T) {
	models := []*onnx.Model{zooModel(t, "vit-t17-a"), zooModel(t, "vit-t17-b")}
	for _, m := range models {
		ix, err := onnx.NewIndex(m.Graph())
		if err != nil {
			t.Fatal(err)
		}
		gains := 0
		for _, n := range ix.Order {
			if n.GetOpType() != "LayerNormalization" {
				continue
			}
			gain := ix.Initializer(n.GetInput()[1])
			ones := make([]float64, gain.GetDims()[0])
			for k := range ones {
				ones[k] = 20
			}
			gain.RawData, gain.FloatData = onnx.FromFloat64(onnx.Float, ones, gain.GetDims()...).Raw, nil
			gains++
		}
		if gains == 0 {
			t.Fatal("no gains")
		}
	}
	o, err := prepare(t, models...).Origin()
	if err != nil {
		t.Fatal(err)
	}
	if o.Verdict != "independent" || o.Cosine > 0.1 {
		t.Errorf("%s, cosine %.2f", o.Verdict, o.Cosine)
	}
}

// masked is attention of one head behind a mask, of other weights for each seed.
const masked = `
input x f32[N,20,6]
wq = init f32[6,4] random(%[1]d1, -1, 1)
wk = init f32[6,4] random(%[1]d2, -1, 1)
wv = init f32[6,4] random(%[1]d3, -1, 1)
mask = init f32[20,20] random(7, -100, -90)
q = MatMul(x, wq)
k = MatMul(x, wk)
kt = Transpose(k) {perm=[0,2,1]}
s = MatMul(q, kt)
m = Add(s, mask)
p = Softmax(m) {axis=-1}
v = MatMul(x, wv)
y = MatMul(p, v)
output y f32
`

// Tables that are the same in any network of a kind say nothing of the origin: masks of windows, the bins of a detector's boxes.
func TestOriginLooksPastTables(t *testing.T) {
	for name, models := range map[string][]*onnx.Model{
		"a mask": {onnxtest.Build(t, fmt.Sprintf(masked, 1)), onnxtest.Build(t, fmt.Sprintf(masked, 2))},
		"bins":   {zooModel(t, "yolo_dfl-t16-a"), zooModel(t, "yolo_dfl-t16-b")},
	} {
		o, err := prepare(t, models...).Origin()
		if err != nil {
			t.Fatal(err)
		}
		if o.Verdict != "independent" || math.Abs(o.Cosine) > 0.25 {
			t.Errorf("%s: %s, cosine %.2f", name, o.Verdict, o.Cosine)
		}
	}
}
