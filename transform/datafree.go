package transform

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/mat"
)

// maxSweeps bounds the passes over the spaces: each can only raise the sum of the products, and few are ever needed.
const maxSweeps = 20

// weightMatcher compares features by the weights that make and read them, with those of all other spaces in the order
// found so far (weight matching, Ainsworth et al. 2023, arXiv 2209.04836).
type weightMatcher struct {
	p  *Prepared
	t  *merge.Trunk
	as merge.Assignments // permutations onto the first model; a space that is missing is not comparable yet
}

// weightStatistics are statistics that no data went into: in place of covariances, the inner products of the weights
// (and biases) behind every feature, in a common order of all other features. Spaces are ordered from the input on
// by what makes them, then again by what makes and reads them until nothing changes.
func (p *Prepared) weightStatistics(t *merge.Trunk) (*Statistics, error) {
	w := &weightMatcher{p: p, t: t, as: merge.Assignments{}}
	stats := &Statistics{Moments: map[string]*calibrate.Moments{}}
	var spaces []*space.Space
	for _, sp := range t.Analysis.Spaces {
		if !sp.Even() {
			return nil, fault.New(fault.Unsupported, "uneven_data_free", "models of different widths (%v in space %q) cannot be matched by their weights", sp.Dims, sp.Name).
				WithHint("give unlabelled inputs with --data FILE.npz")
		}
		if sp.Mode == space.Pinned || sp.Constant || t.Identical[sp] || sp.Mode == space.Permute && sp.Fixed != "" && sp.Dim == 1 {
			z, err := match.Identity(widthsOf(len(p.Sources.Models), sp.Dim))
			if err != nil {
				return nil, err
			}
			w.as[sp] = merge.Average(z)
			continue
		}
		spaces = append(spaces, sp)
	}
	for range maxSweeps {
		changed := false
		for _, sp := range spaces {
			m, err := w.products(sp)
			if err != nil {
				return nil, err
			}
			stats.Moments[spaceTap(sp)] = m
			z, err := w.permutation(sp, m)
			if err != nil {
				return nil, err
			}
			changed = changed || !slices.Equal(z.Of, w.as[sp].Of)
			w.as[sp] = merge.Average(z)
		}
		if err := p.assignHeads(w.as, t, t.Analysis.Spaces, stats, Settings{Match: "permute"}, nil, nil); err != nil {
			return nil, err
		}
		if !changed {
			break
		}
	}
	return stats, nil
}

// permutation orders a space's features like the first model's. Heads are ordered later, as a whole.
func (w *weightMatcher) permutation(sp *space.Space, m *calibrate.Moments) (match.Zip, error) {
	widths := widthsOf(len(w.p.Sources.Models), sp.Dim)
	if sp.Heads > 0 {
		if a, ok := w.as[sp]; ok {
			return a.Zip, nil
		}
		return match.Identity(widths)
	}
	return match.Permute(match.Features{Widths: widths, Mean: m.Mean, Cov: m.Cov}, match.Options{})
}

// products are the inner products of all features of a space, models stacked, over the trunk's parameters.
func (w *weightMatcher) products(sp *space.Space) (*calibrate.Moments, error) {
	models := len(w.p.Sources.Models)
	n := models * sp.Dim
	out := &calibrate.Moments{N: 1, Mean: make([]float64, n), Cov: make([]float64, n*n)}
	sum := mat.NewSymDense(n, nil)
	seen := map[string]bool{}
	for _, k := range w.t.Groups {
		for _, name := range w.p.Sources.Pairing.Nodes[k][0].GetInput() {
			if seen[name] || w.p.Sources.Models[0].Index.Initializer(name) == nil {
				continue
			}
			seen[name] = true
			for axis := range w.t.Analysis.Roles(0, name) {
				rows, err := w.rows(sp, name, axis)
				if err != nil {
					return nil, err
				}
				if rows != nil {
					var product mat.SymDense
					product.SymOuterK(1, rows)
					sum.AddSym(sum, &product)
				}
			}
		}
	}
	for i := range n {
		for j := range n {
			out.Cov[i*n+j] = sum.At(i, j)
		}
	}
	return out, nil
}

// rows are a parameter's slices behind each feature of a space that lies on an axis: [features, what a slice holds].
// It is nil where the axis does not hold the space, or another axis holds features that are in no common order yet.
func (w *weightMatcher) rows(sp *space.Space, name string, axis int) (*mat.Dense, error) {
	var out *mat.Dense
	for i, src := range w.p.Sources.Models {
		other, ok := w.p.Sources.Pairing.Value(0, i, name)
		if !ok {
			return nil, nil
		}
		layouts := w.t.Analysis.Layouts(i, other)
		if axis >= len(layouts) {
			return nil, nil
		}
		at, inner := find(layouts[axis], sp)
		if at < 0 {
			return nil, nil
		}
		t, err := onnx.TensorOf(src.Index.Initializer(other))
		if err != nil {
			return nil, err
		}
		places, ok := w.places(i, layouts, t.Dims, axis)
		if !ok {
			return nil, nil
		}
		v, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		behind := 1
		for _, d := range t.Dims[axis+1:] {
			behind *= int(d)
		}
		length := int(t.Dims[axis])
		rest := len(v) / max(length, 1)
		if out == nil {
			out = mat.NewDense(len(w.p.Sources.Models)*sp.Dim, rest*inner, nil)
		}
		for f := range sp.Dim {
			for j := range inner {
				p := at + f*inner + j
				row := out.RawRowView(i*sp.Dim + f)[j*rest : (j+1)*rest]
				for q := range rest {
					row[places[q]] = v[(q/behind*length+p)*behind+q%behind]
				}
			}
		}
	}
	return out, nil
}

// find is where an axis holds a space whole, and the positions for each of its features; -1 where it does not.
func find(l space.Layout, sp *space.Space) (at, inner int) {
	for _, seg := range l {
		if seg.Space == sp && seg.Part == space.Whole {
			return at, seg.Inner
		}
		if seg.Size < 0 {
			break
		}
		at += seg.Size
	}
	return -1, 0
}

// places says where each element of a slice across an axis belongs in the common order of all other axes.
func (w *weightMatcher) places(model int, layouts []space.Layout, dims []int64, axis int) ([]int, bool) {
	places := []int{0}
	for k, l := range layouts {
		if k == axis {
			continue
		}
		order, ok := w.order(model, l, int(dims[k]))
		if !ok {
			return nil, false
		}
		next := make([]int, 0, len(places)*len(order))
		for _, p := range places {
			for _, o := range order {
				next = append(next, p*len(order)+o)
			}
		}
		places = next
	}
	return places, true
}

// order is the common place of each position along an axis.
func (w *weightMatcher) order(model int, l space.Layout, size int) ([]int, bool) {
	out := make([]int, 0, size)
	for _, seg := range l {
		at := len(out)
		n := seg.Size
		if n < 0 {
			n = size - at
		}
		if seg.Space == nil || seg.Space.Mode == space.Pinned {
			for p := range n {
				out = append(out, at+p)
			}
			continue
		}
		a, ok := w.as[seg.Space]
		if !ok || seg.Part != space.Whole {
			return nil, false
		}
		for p := range n {
			f := model*seg.Space.Dim + p/seg.Inner
			out = append(out, at+a.Of[f]*seg.Inner+p%seg.Inner)
		}
	}
	return out, len(out) == size
}

// foldVariance gives merged channels back the deviation that averaging takes from them, as far as weights tell
// (the approximate repair of Model Folding, arXiv 2502.10216): a mean of n features of equal deviation σ whose
// correlations average c has the deviation σ·√((1 + (n−1)·c)/n). The correlations are taken to be the cosines of the
// weights. Biases are scaled along: what a node makes without them has the same variance, and its mean is unknown.
func (p *Prepared) foldVariance(t *merge.Trunk, as merge.Assignments, stats *Statistics, m *merge.Merged) error {
	weights := map[string]*onnx.TensorProto{}
	for _, w := range m.Model.Graph().GetInitializer() {
		weights[w.GetName()] = w
	}
	for _, k := range (tapper{s: p.Sources, t: t}).linear() {
		n := p.Sources.Pairing.Nodes[k][0]
		name := n.GetInput()[1]
		axis := weightAxis(t, name)
		gain := foldGains(t.Analysis.Layouts(0, name)[axis], as, stats)
		if gain == nil {
			continue
		}
		if err := refit.ScaleAxis(weights[name], axis, gain, nil); err != nil {
			return err
		}
		if len(n.GetInput()) > 2 && n.GetInput()[2] != "" {
			bias := weights[n.GetInput()[2]]
			if err := refit.ScaleAxis(bias, len(bias.GetDims())-1, gain, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// foldGains are the factors of the merged positions along an axis, nil where it holds no features that were merged.
func foldGains(l space.Layout, as merge.Assignments, stats *Statistics) []float64 {
	var gains []float64
	any := false
	for _, seg := range l {
		if seg.Space == nil || seg.Part != space.Whole || stats.Space(seg.Space) == nil {
			size := seg.Size
			if seg.Space != nil && seg.Part == space.Whole {
				size = as[seg.Space].Width * seg.Inner
			}
			gains = append(gains, slices.Repeat([]float64{1}, max(size, 0))...)
			continue
		}
		any = true
		a, s := as[seg.Space], stats.Space(seg.Space)
		for _, members := range a.Members() {
			g := foldGain(members, a.Coef, s)
			gains = append(gains, slices.Repeat([]float64{g}, seg.Inner)...)
		}
	}
	if !any {
		return nil
	}
	return gains
}

// maxFold bounds the factor: the cosines of weights are poor estimates of correlations.
const maxFold = 4

func foldGain(members []int, coef []float64, s *calibrate.Moments) float64 {
	n, all := 0, len(s.Mean)
	sum := 0.0
	for _, i := range members {
		if coef[i] == 0 {
			continue
		}
		n++
		for _, j := range members {
			if i != j && coef[j] != 0 {
				norm := math.Sqrt(s.Cov[i*all+i] * s.Cov[j*all+j])
				if norm > 0 {
					sum += s.Cov[i*all+j] / norm
				}
			}
		}
	}
	if n < 2 {
		return 1
	}
	c := max(sum/float64(n*(n-1)), 0)
	return min(math.Sqrt(float64(n)/(1+float64(n-1)*c)), maxFold)
}
