package merge

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"pgregory.net/rapid"
)

// drawZip draws a valid zip of several models of n features.
func drawZip(t *rapid.T, models, n int) match.Zip {
	total := models * n
	z := match.Zip{Width: rapid.IntRange(1, total).Draw(t, "width")}
	for k := range total {
		if k < z.Width {
			z.Of = append(z.Of, k)
		} else {
			z.Of = append(z.Of, rapid.IntRange(0, z.Width-1).Draw(t, "of"))
		}
	}
	order := rapid.Permutation(z.Of).Draw(t, "order")
	z.Of = order
	return z
}

// M·U = I: what is unmerged and merged again is what it was.
func TestMergeUndoesUnmerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		models, n := rapid.IntRange(1, 3).Draw(t, "models"), rapid.IntRange(1, 6).Draw(t, "n")
		z := drawZip(t, models, n)
		score := rapid.SliceOfN(rapid.Float64Range(0, 3), len(z.Of), len(z.Of)).Draw(t, "score")
		for name, a := range map[string]Assignment{"mean": Average(z), "select": Select(z, score)} {
			for row := range z.Width {
				for column := range z.Width {
					sum := 0.0
					for k, m := range z.Of {
						if m == row && z.Of[k] == column {
							sum += a.Coef[k]
						}
					}
					want := 0.0
					if row == column {
						want = 1
					}
					if math.Abs(sum-want) > 1e-15 {
						t.Fatalf("%s: (M·U)[%d,%d] = %v", name, row, column, sum)
					}
				}
			}
		}
	})
}

func TestSelectTakesTheBest(t *testing.T) {
	a := Select(match.Zip{Width: 2, Of: []int{0, 1, 0, 1, 0}}, []float64{1, 3, 2, 3, 2})
	for k, want := range []float64{0, 1, 1, 0, 0} { // ties: the first
		if a.Coef[k] != want {
			t.Errorf("feature %d has weight %v, want %v", k, a.Coef[k], want)
		}
	}
}

// dense is a matrix product along an axis of a tensor of dims [outer, n, inner]: the definition that scatter
// is checked against.
func dense(m [][]float64, v []float64, outer, n, inner int) []float64 {
	out := make([]float64, outer*len(m)*inner)
	for o := range outer {
		for row := range m {
			for k := range n {
				for x := range inner {
					out[(o*len(m)+row)*inner+x] += m[row][k] * v[(o*n+k)*inner+x]
				}
			}
		}
	}
	return out
}

func TestScatterIsTheMatrixProduct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		models, features := rapid.IntRange(1, 3).Draw(t, "models"), rapid.IntRange(1, 4).Draw(t, "features")
		outer, inner := rapid.IntRange(1, 3).Draw(t, "outer"), rapid.IntRange(1, 3).Draw(t, "inner")
		repeat, extra := rapid.IntRange(1, 3).Draw(t, "repeat"), rapid.IntRange(0, 2).Draw(t, "aligned")
		sp := &space.Space{Dim: features}
		as := Assignments{sp: Average(drawZip(t, models, features))}
		model := rapid.IntRange(0, models-1).Draw(t, "model")
		layout := space.Layout{{Size: extra, Inner: 1}, {Space: sp, Size: features * repeat, Inner: repeat}}
		n := extra + features*repeat
		m := as.mapAxis(layout, model, models, n)
		v := make([]float64, outer*n*inner)
		for k := range v {
			v[k] = float64(k%17) - 8
		}
		for _, weighted := range []bool{false, true} {
			matrix := make([][]float64, extra+as[sp].Width*repeat)
			for row := range matrix {
				matrix[row] = make([]float64, n)
			}
			for p := range n {
				row, c := p, 1/float64(models)
				if p >= extra {
					f := model*features + (p-extra)/repeat
					row, c = extra+as[sp].Of[f]*repeat+(p-extra)%repeat, as[sp].Coef[f]
				}
				if !weighted {
					c = 1
				}
				matrix[row][p] = c
			}
			got, dims := m.scatter(v, []int64{int64(outer), int64(n), int64(inner)}, 1, weighted)
			want := dense(matrix, v, outer, n, inner)
			if int(dims[1]) != len(matrix) || len(got) != len(want) {
				t.Fatalf("dims %v, want %d", dims, len(matrix))
			}
			for k := range want {
				if math.Abs(got[k]-want[k]) > 1e-12 {
					t.Fatalf("weighted %v: element %d is %v, want %v", weighted, k, got[k], want[k])
				}
			}
		}
	})
}

func TestBadAssignments(t *testing.T) {
	free, bound := &space.Space{Name: "free", Dim: 2}, &space.Space{Name: "bound", Dim: 2, Mode: space.Permute}
	fixed := &space.Space{Name: "fixed", Dim: 2, Fixed: "it is a table"}
	heads := &space.Space{Name: "heads", Dim: 4, Mode: space.Permute, Heads: 2}
	of := func(width int, of ...int) Assignment { return Average(match.Zip{Width: width, Of: of}) }
	for _, c := range []struct {
		name string
		sp   *space.Space
		a    Assignment
		want string
	}{
		{"length", free, of(2, 0, 1), "2 entries for 4 features of 2 models"},
		{"no members", free, Assignment{Zip: match.Zip{Width: 3, Of: []int{0, 1, 0, 1}}, Coef: make([]float64, 4)}, "no members"},
		{"same model", bound, of(2, 0, 0, 1, 1), "every merged feature must take one feature of each model"},
		{"wider", bound, of(4, 0, 1, 2, 3), "every merged feature must take one feature of each model"},
		{"fixed", fixed, of(3, 0, 1, 1, 2), "cannot change: it is a table"},
		{"torn heads", heads, of(4, 0, 1, 2, 3, 0, 2, 1, 3), "heads must move as a whole"},
		{"missing", free, Assignment{}, "0 entries"},
	} {
		err := Assignments{c.sp: c.a}.check([]*space.Space{c.sp}, 2)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := (Assignments{}).check([]*space.Space{free}, 2); err == nil || fault.As(err).Code != "no_assignment" {
		t.Errorf("without an assignment: %v", err)
	}
	ok := Assignments{free: of(1, 0, 0, 0, 0), bound: of(2, 0, 1, 1, 0), heads: of(4, 0, 1, 2, 3, 3, 2, 0, 1)}
	if err := ok.check([]*space.Space{free, bound, heads}, 2); err != nil {
		t.Error(err)
	}
}
