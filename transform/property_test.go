package transform_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"pgregory.net/rapid"
)

// The properties of docs/spaces.md: whatever the analysis calls free may be moved, doubled and merged
// without changing what the models compute. Equal means up to 1e-5 of the largest output.
const tolerance = 1e-5

// randomTolerance is the limit for random networks: one in some hundred normalises a nearly constant value and so
// amplifies float32 rounding to a few 1e-5, one in ten thousand to some 1e-4. A wrong rule changes outputs by percents.
const randomTolerance = 1e-3

// checkPermutations permutes every free space of one model.
func checkPermutations(t fataler, tb testing.TB, m *onnx.Model, feeds map[string]*onnx.Tensor, seed uint64, limit float64) {
	t.Helper()
	p := prepare(t, m)
	trunk := findTrunk(t, p, merge.Cut{})
	as := merge.Assignments{}
	for s, order := range permutations(trunk, seed) {
		as[s] = merge.Average(match.Zip{Width: s.Dim, Of: order})
	}
	newChecker(t, engine(tb), p, feeds).check(t, p, build(t, p, trunk, as), limit)
}

func TestPermutingChangesNothing(t *testing.T) {
	for _, name := range realPairs {
		checkPermutations(t, t, real(t, name+"_a"), imageFeeds(3), 7, tolerance)
	}
	steps := append(append([]step(nil), zipSteps...), permuteSteps...)
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, steps)
		rt.Log(describe(plan))
		checkPermutations(rt, t, plan.model(t, style{seed: 1}), netFeeds(onnx.Float), rapid.Uint64().Draw(rt, "seed"), randomTolerance)
	})
}

// checkDuplicates merges a model with itself: a random part of the features is joined with its copy, the
// others stay twice, so that each copy's consumers carry half the weight. Operators that normalise over
// the features notice; spaces that they bind may only be permuted.
func checkDuplicates(t fataler, tb testing.TB, m *onnx.Model, feeds map[string]*onnx.Tensor, seed uint64, limit float64) {
	t.Helper()
	p := prepare(t, m, m.Clone())
	trunk := findTrunk(t, p, merge.Cut{})
	r := rand.New(rand.NewPCG(seed, 2))
	orders := permutations(trunk, seed)
	as := merge.Assignments{}
	for _, s := range trunk.Analysis.Spaces {
		z := match.Zip{Width: s.Dim, Of: orders[s]}
		if s.AnyHeads {
			as[s] = merge.Average(someHeadsTwice(s, orders[s], seed))
			continue
		}
		for f := range s.Dim {
			if s.Mode == space.Zip && r.IntN(2) == 0 {
				z.Of = append(z.Of, z.Width)
				z.Width++
			} else {
				z.Of = append(z.Of, z.Of[f])
			}
		}
		as[s] = merge.Average(z)
	}
	newChecker(t, engine(tb), p, feeds).check(t, p, build(t, p, trunk, as), limit)
}

// someHeadsTwice joins a random part of an attention's heads with their copies and keeps the others twice, the same in all
// spaces of the group.
func someHeadsTwice(s *space.Space, order []int, seed uint64) match.Zip {
	r := rand.New(rand.NewPCG(seed, uint64(s.Group)))
	d := s.Dim / s.Heads
	z := match.Zip{Width: s.Dim, Of: append([]int(nil), order...)}
	for head := range s.Heads {
		to := order[head*d] / d
		if r.IntN(2) == 0 {
			to = z.Width / d
			z.Width += d
		}
		for f := range d {
			z.Of = append(z.Of, to*d+order[head*d+f]%d)
		}
	}
	return z
}

func TestDuplicatingChangesNothing(t *testing.T) {
	for _, name := range realPairs {
		checkDuplicates(t, t, real(t, name+"_a"), imageFeeds(3), 7, tolerance)
	}
	steps := append(append([]step(nil), zipSteps...), permuteSteps...)
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, steps)
		rt.Log(describe(plan))
		checkDuplicates(rt, t, plan.model(t, style{seed: 1}), netFeeds(onnx.Float), rapid.Uint64().Draw(rt, "seed"), randomTolerance)
	})
}

func TestFullWidthIsEverySource(t *testing.T) {
	e := engine(t)
	for _, name := range realPairs {
		a, b := real(t, name+"_a"), real(t, name+"_b")
		for _, models := range [][]*onnx.Model{{a, b}, {a, b, a.Clone()}} {
			p := prepare(t, models...)
			trunk := findTrunk(t, p, merge.Cut{})
			newChecker(t, e, p, imageFeeds(3)).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, zipSteps)
		rt.Log(describe(plan))
		var models []*onnx.Model
		for i := range rapid.IntRange(2, 3).Draw(rt, "models") {
			models = append(models, plan.model(t, style{seed: int64(i + 1)}))
		}
		p := prepare(rt, models...)
		trunk := findTrunk(rt, p, merge.Cut{})
		if n := len(p.Sources.Models[0].Index.Order); len(trunk.Groups) != n-1 {
			rt.Fatalf("%d of %d nodes shared: %v", len(trunk.Groups), n, trunk.Ends)
		}
		newChecker(rt, e, p, netFeeds(onnx.Float)).check(rt, p, build(rt, p, trunk, full(rt, p, trunk)), randomTolerance)
	})
}

// Every method and every way of representing gives a valid model with the shapes of the sources.
func TestMethodsGiveValidModels(t *testing.T) {
	e := engine(t)
	steps := append(append([]step(nil), zipSteps...), permuteSteps...)
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, steps)
		rt.Log(describe(plan))
		p := prepare(rt, plan.model(t, style{seed: 1}), plan.model(t, style{seed: 2, classes: 7}))
		trunk := findTrunk(rt, p, merge.Cut{})
		stats, err := p.Measure(context.Background(), e, trunk, randomSamples(16, "x", 3, 8, 8), true, captureOptions(1))
		if err != nil {
			rt.Fatal(err)
		}
		for _, s := range []transform.Settings{
			{Match: "zip", Represent: "mean", Alpha: 0.3, Beta: 1}, {Match: "zipit", Represent: "select", Alpha: 0.3, Beta: 0.125},
			{Match: "permute", Represent: "mean"}, {Match: "random", Represent: "select"}, {Match: "identity", Represent: "mean"},
			{Match: "subset", Represent: "mean"}, {Match: "subset", Represent: "select"},
		} {
			as, err := p.Assign(trunk, stats, s)
			if err != nil {
				rt.Fatalf("%+v: %v", s, err)
			}
			m := build(rt, p, trunk, as)
			out := run(rt, e, m.Model, netFeeds(onnx.Float))
			if len(out[m.Outputs[0][0]]) != 4*5 || len(out[m.Outputs[1][0]]) != 4*7 {
				rt.Fatalf("%+v: outputs %v", s, out)
			}
		}
	})
}
