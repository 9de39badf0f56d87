package rewrite

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// FuzzDamaged: whatever the model, the rewriting neither panics nor blames itself, and comes to an end. The
// damage is done to the graph, so that it passes for a model: few random bytes would.
func FuzzDamaged(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.onnx")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no models in testdata (%v)", err)
	}
	var models []*onnx.Model
	for _, path := range paths {
		m, err := onnx.Load(path)
		if err != nil {
			f.Fatal(err)
		}
		models = append(models, m)
	}
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := models[r.IntN(len(models))].Clone()
		for range 1 + r.IntN(4) {
			damage(m.Graph(), r)
		}
		c, _, err := Canonicalize(m)
		if err != nil {
			if fault.As(err).Kind == fault.Internal {
				t.Error(err)
			}
			return
		}
		if again, log, err := Canonicalize(c); err != nil || log.Total() != 0 {
			t.Errorf("the second run: %v\n%s%s", err, log, nodeLines(again))
		}
		if _, err := ShareAgain(c); err != nil {
			t.Error(err)
		}
	})
}

// damage changes one thing about a graph.
func damage(g *onnx.Graph, r *rand.Rand) {
	n := g.Node[r.IntN(len(g.Node))]
	other := g.Node[r.IntN(len(g.Node))]
	sizes := []int64{-1, 0, 1, 2, 3, 7, 1 << 40, -1 << 63, 1<<63 - 1}
	size := sizes[r.IntN(len(sizes))]
	switch r.IntN(9) {
	case 0: // another operator
		*n.OpType = other.GetOpType()
	case 1: // another value
		if len(n.Input) > 0 && len(other.Input) > 0 {
			n.Input[r.IntN(len(n.Input))] = other.Input[r.IntN(len(other.Input))]
		}
	case 2: // an input less, or absent
		if len(n.Input) > 0 {
			n.Input[r.IntN(len(n.Input))] = ""
			n.Input = n.Input[:r.IntN(len(n.Input)+1)]
		}
	case 3: // outputs absent
		n.Output = n.Output[:r.IntN(len(n.Output)+1)]
	case 4: // an attribute less, or another's
		n.Attribute = other.Attribute
		if len(n.Attribute) > 0 && r.IntN(2) == 0 {
			n.Attribute = n.Attribute[1:]
		}
	case 5: // another number in an attribute
		for _, a := range n.Attribute {
			if a.I != nil {
				*a.I = size
			}
			if len(a.Ints) > 0 {
				a.Ints[r.IntN(len(a.Ints))] = size
			}
		}
	case 6: // other dims or no type of a tensor
		p := g.Initializer[r.IntN(len(g.Initializer))]
		if len(p.Dims) > 0 {
			p.Dims[r.IntN(len(p.Dims))] = size
		} else {
			*p.DataType = int32(r.IntN(20))
		}
	case 7: // other contents
		w := g.Initializer[r.IntN(len(g.Initializer))]
		if raw := append([]byte(nil), w.RawData...); len(raw) > 0 { // clones share them
			raw[r.IntN(len(raw))] = byte(r.IntN(256))
			w.RawData = raw
		}
	case 8: // another graph output
		if len(other.Output) > 0 {
			g.Output = append(g.Output, &onnx.ValueInfo{Name: &other.Output[0]})
		}
	}
}
