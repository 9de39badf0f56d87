package transform

import (
	"math"
	"slices"
	"sync"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/basis"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/mat"
)

// mixes reports whether linear spaces are merged into combinations of features (docs/matching.md).
func (o Settings) mixes() bool {
	return (o.Match == "subset" || o.Match == "halves") && o.Represent != "base" && !o.DataFree
}

// markMixed leaves the mark of linear spaces to those that a merge with these settings keeps combinations of. Bound ones
// (transformers' streams) count only where their norms treat all features alike: see inAnyBasis.
func (p *Prepared) markMixed(t *merge.Trunk, o Settings) {
	for _, sp := range t.Analysis.Spaces {
		sp.AnyHeads = sp.AnyHeads && o.mixes() && !slices.ContainsFunc(t.Analysis.Spaces, func(other *space.Space) bool {
			return other.Heads > 0 && other.Group == sp.Group && t.Identical[other]
		})
		sp.Linear = sp.Linear && o.mixes() && !t.Identical[sp] && sp.First(len(p.Sources.Models)) <= basis.MostFeatures
	}
}

// inAnyBasis is p, and its trunk t, of models whose norms' gains are in the weights that read them, where that lets a merge keep
// combinations of a stream's features. The models compute what they did.
func (p *Prepared) inAnyBasis(o Options, t *merge.Trunk) (*Prepared, *merge.Trunk, error) {
	if !(o.mixes() || o.Narrow) || o.DataFree || t.Exact && !o.Narrow || p.Sources.Prefixes != nil || !slices.ContainsFunc(p.Sources.Full.Spaces, p.boundStream) {
		return p, t, nil
	}
	plain, err := p.withPlainNorms()
	if err != nil || plain == p {
		return p, t, err
	}
	u, err := plain.cut(o)
	if err != nil { // it ends at a value that is gone
		return p, t, nil
	}
	stream := func(sp *space.Space) bool { return sp.Linear && sp.Mode == space.Permute }
	if !slices.ContainsFunc(u.Analysis.Spaces, stream) && !(o.Narrow && slices.ContainsFunc(plain.Sources.Full.Spaces, stream)) {
		return p, t, nil
	}
	return plain, u, nil
}

// markChangeable takes the marks from spaces bound to permutations whose width a budget cannot change, since some node counts on it.
func (p *Prepared) markChangeable(t *merge.Trunk) error {
	var bound []*space.Space
	for _, sp := range t.Analysis.Spaces {
		if sp.Mode == space.Permute && anyWidth(sp) {
			bound = append(bound, sp)
		}
	}
	if bound == nil {
		return nil
	}
	free, err := p.changeable(t, bound)
	if err != nil {
		return err
	}
	for _, sp := range bound {
		if !slices.Contains(free, sp) {
			sp.AnyHeads = false
			sp.Fixed = "a node counts on it"
		}
	}
	return nil
}

// boundStream is true of spaces that only norms may bind.
func (p *Prepared) boundStream(sp *space.Space) bool {
	return sp.Mode == space.Permute && sp.Heads == 0 && sp.Fixed == "" && sp.Even()
}

// plainSources keeps the models with plain norms, which several merges of the same may ask for.
type plainSources struct {
	sync.Mutex
	of, made *merge.Sources
}

// withPlainNorms is p with the gains of norms in the weights behind them; p itself where there are none to move.
func (p *Prepared) withPlainNorms() (*Prepared, error) {
	if p.plain == nil {
		p.plain = &plainSources{}
	}
	p.plain.Lock()
	defer p.plain.Unlock()
	q := *p
	q.joined = nil
	if p.plain.of != p.Sources {
		if err := q.pairWithPlainNorms(); err != nil {
			return nil, err
		}
		p.plain.of, p.plain.made = p.Sources, q.Sources
	}
	if p.plain.made == p.Sources {
		return p, nil
	}
	q.Sources = p.plain.made
	return &q, nil
}

// pairWithPlainNorms moves the gains of p's norms and pairs the models anew, if there are any.
func (p *Prepared) pairWithPlainNorms() error {
	var sources []*merge.Source
	changed := 0
	for i, src := range p.Sources.Models {
		plain, n, err := plainSource(src, p.Sources.Full, i)
		if err != nil {
			return err
		}
		sources, changed = append(sources, plain), changed+n
	}
	if changed == 0 {
		return nil
	}
	return p.pair(sources)
}

// pairPlain moves the gains of norms into weights where more of the models corresponds then: a merged file's may be there already.
func (p *Prepared) pairPlain() error {
	if p.Sources.Pairing.First == nil || p.Sources.Prefixes != nil || len(p.Sources.Models) < 2 {
		return nil
	}
	plain, err := p.withPlainNorms()
	if err != nil || plain == p || len(plain.Sources.Pairing.Nodes) <= len(p.Sources.Pairing.Nodes) {
		return err
	}
	p.Sources = plain.Sources
	return nil
}

// plainSource is a source, model i of an analysis, with the gains of norms in the weights behind them, and how many of them.
func plainSource(src *merge.Source, a *space.Analysis, i int) (*merge.Source, int, error) {
	m := src.Model.Clone()
	n, err := basis.PlainNorms(m, func(v string) []space.Layout { return a.Layouts(i, v) })
	if err != nil || n == 0 {
		return src, 0, err
	}
	plain, err := newSource(m, src.Head)
	return plain, n, err
}

// mix keeps combinations of a linear space's features, width of them (0: as many as one model has).
func (p *Prepared) mix(sp *space.Space, t *merge.Trunk, stats *Statistics, o Settings, width int, find *readerFinder) (merge.Assignment, error) {
	if width == 0 {
		width = sp.Dim
	}
	s, err := p.linearSpace(sp, t, stats, find)
	if err != nil {
		return merge.Assignment{}, err
	}
	most := sp.First(len(p.Sources.Models))
	if sp.Centred {
		most -= len(p.Sources.Models) - 1
	}
	width = min(width, most)
	a := merge.Assignment{Mix: &merge.Mix{}}
	if o.Match == "halves" {
		random, err := randomFeatures(sp, o, p.widths(sp), width)
		if err != nil {
			return a, err
		}
		kept := make([]int, random.Width)
		for k, q := range random.Of {
			if random.Coef[k] > 0 {
				kept[q] = k
			}
		}
		a.Mix.M, a.Mix.U, err = s.Chosen(kept)
		if err != nil {
			return a, err
		}
	} else if a.Mix.M, a.Mix.U, err = s.Leading(width); err != nil {
		return a, fault.Wrap(fault.Data, "no_combinations", err, "its features cannot be combined")
	}
	a.Zip, a.Coef = mostOf(a.Mix)
	return a, nil
}

// mostOf says for each feature which combination has most of it, and how much all of them have.
func mostOf(m *merge.Mix) (match.Zip, []float64) {
	width, n := m.M.Dims()
	z, coef := match.Zip{Width: width, Of: make([]int, n)}, make([]float64, n)
	taken := make([]bool, n)
	for k := range n {
		most := 0.0
		for q := range width {
			x := m.M.At(q, k)
			coef[k] += x * x
			if math.Abs(x) > most {
				most, z.Of[k] = math.Abs(x), q
			}
		}
	}
	for q := range width { // each has to have one
		best := -1
		for k := range n {
			if !taken[k] && (best < 0 || math.Abs(m.M.At(q, k)) > math.Abs(m.M.At(q, best))) {
				best = k
			}
		}
		taken[best], z.Of[best] = true, q
	}
	return z, coef
}

// linearSpace is what statistics say of a linear space.
func (p *Prepared) linearSpace(sp *space.Space, t *merge.Trunk, stats *Statistics, find *readerFinder) (s basis.Space, err error) {
	s = basis.Space{Widths: p.widths(sp), Normed: sp.Mode == space.Permute, Centred: sp.Centred, Products: stats.Products}
	readers, err := find.of(sp)
	if err != nil {
		return s, err
	}
	var values []string
	if find != nil {
		values = find.values(sp)
	}
	for k, v := range values {
		m := stats.at(sp, v)
		one := basis.Place{Mean: m.Mean, Cov: m.Cov}
		if one.Weight, err = readers[k].Gram(stats.Products, len(m.Mean)); err != nil {
			return s, err
		}
		s.Places = append(s.Places, one)
	}
	if len(s.Places) == 0 {
		m := stats.Space(sp)
		s.Places = []basis.Place{{Mean: m.Mean, Cov: m.Cov}}
	}
	if s.Normed {
		s.Scale = p.streamScale(sp, t, stats)
	}
	return s, nil
}

// streamScale is the root mean square of each model's features where norms read them: the geometric mean over these places.
func (p *Prepared) streamScale(sp *space.Space, t *merge.Trunk, stats *Statistics) []float64 {
	scale := make([]float64, len(p.Sources.Models))
	places := 0.0
	for _, v := range (tapper{s: p.Sources, t: t}).normed(sp) {
		m := stats.Moments[normTap(sp, v)]
		if m == nil {
			continue
		}
		places++
		variance := variances(m)
		for i := range scale {
			square := 0.0
			for k := range sp.In(i) {
				f := sp.First(i) + k
				square += (variance[f] + m.Mean[f]*m.Mean[f]) / float64(sp.In(i))
			}
			scale[i] += math.Log(square) / 2
		}
	}
	if places == 0 {
		return nil
	}
	for i := range scale {
		scale[i] = math.Exp(scale[i] / places)
	}
	return scale
}

// normTap names the tap of a space before a norm.
func normTap(sp *space.Space, value string) string { return placeTap(sp, value) + " before its norm" }

// normed lists the values, by model 0's names, whose features of a linear space are divided by a norm.
func (p tapper) normed(sp *space.Space) (values []string) {
	ix := p.s.Models[0].Index
	for _, n := range p.t.Nodes0(p.s) {
		x := ""
		switch n.GetOpType() {
		case "LayerNormalization":
			x = n.GetInput()[0]
		case "ReduceMean", "ReduceSum":
			x = space.Squared(ix, n.GetInput()[0])
		}
		is := func(l space.Layout) bool { return l.Is(sp) }
		if x != "" && ix.Initializer(x) == nil && slices.ContainsFunc(p.t.Analysis.Layouts(0, x), is) && !slices.Contains(values, x) {
			values = append(values, x)
		}
	}
	return values
}

// norms returns taps for the size of a stream before its norms.
func (p tapper) norms() (taps []calibrate.Tap) {
	for _, sp := range p.t.Analysis.Spaces {
		if !sp.Linear || sp.Mode != space.Permute {
			continue
		}
		for _, v := range p.normed(sp) {
			if parts, ok := p.parts(sp, v, true); ok {
				taps = append(taps, calibrate.Tap{Name: normTap(sp, v), Parts: parts, Diagonal: true})
			}
		}
	}
	return taps
}

// anyMix stands for combinations where only sizes count.
func anyMix(features, width int) *merge.Mix {
	return &merge.Mix{M: mat.NewDense(width, features, nil), U: mat.NewDense(features, width, nil)}
}
