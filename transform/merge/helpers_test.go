package merge

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// sourcesOf pairs models as they are, without bringing them to a common form.
func sourcesOf(t testing.TB, models ...*onnx.Model) *Sources {
	t.Helper()
	var list []*Source
	for i, m := range models {
		ix, err := onnx.NewIndex(m.Graph())
		if err != nil {
			t.Fatal(err)
		}
		shapes, err := shape.Infer(m, shape.Options{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &Source{Head: string(rune('a' + i)), Model: m, Index: ix, Shapes: shapes})
	}
	s, err := NewSources(list, pair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seeded makes one model for each seed: the text with SEED replaced.
func seeded(t testing.TB, text string, seeds ...string) *Sources {
	t.Helper()
	var models []*onnx.Model
	for _, seed := range seeds {
		models = append(models, onnxtest.Build(t, strings.ReplaceAll(text, "SEED", seed)))
	}
	return sourcesOf(t, models...)
}

func trunkOf(t testing.TB, s *Sources, values ...string) *Trunk {
	t.Helper()
	trunk, err := FindTrunk(s, Cut{Values: values})
	if err != nil {
		t.Fatal(err)
	}
	return trunk
}

// assign gives every space of a trunk the zip that f makes.
func assign(t *Trunk, f func(sp *space.Space) match.Zip) Assignments {
	as := Assignments{}
	for _, sp := range t.Analysis.Spaces {
		as[sp] = Average(f(sp))
	}
	return as
}

// same joins equal positions of all models.
func same(models int) func(*space.Space) match.Zip {
	return func(sp *space.Space) match.Zip {
		z := match.Zip{Width: sp.Dim}
		for range models {
			for f := range sp.Dim {
				z.Of = append(z.Of, f)
			}
		}
		return z
	}
}

// reversed joins the features of model 0 with those of model 1 from the end.
func reversed(sp *space.Space) match.Zip {
	z := same(1)(sp)
	for f := range sp.Dim {
		z.Of = append(z.Of, sp.Dim-1-f)
	}
	return z
}

// wide keeps all features of two models.
func wide(sp *space.Space) match.Zip {
	if sp.Mode != space.Zip {
		return same(2)(sp)
	}
	return match.Full([]int{sp.Dim, sp.Dim})
}

func mustBuild(t testing.TB, s *Sources, trunk *Trunk, as Assignments, o Options) *Merged {
	t.Helper()
	m, err := Build(s, trunk, as, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
