package transform

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Assign matches the features of every space of the trunk, at its own width.
func (p *Prepared) Assign(t *merge.Trunk, stats *Statistics, o Settings) (merge.Assignments, error) {
	return p.assign(t, stats, o, nil, func(int, int) error { return nil })
}

// assign is Assign with planned widths, nil for the spaces' own. step is called behind each space; its errors end it.
func (p *Prepared) assign(t *merge.Trunk, stats *Statistics, o Settings, planned map[*space.Space]int, step func(done, total int) error) (merge.Assignments, error) {
	if o.Match == MatchAuto && stats != nil {
		return nil, fault.New(fault.Usage, "needs_data", "--match auto judges matchings on held-out samples: Merge has them")
	}
	as := merge.Assignments{}
	var readers *readerFinder
	if o.Match == "subset" {
		readers = p.findReaders(t, stats)
	}
	for k, sp := range t.Analysis.Spaces {
		a, err := p.assignSpace(sp, t, stats, o, planned[sp], readers)
		if err != nil {
			return nil, errMatch(sp, err)
		}
		as[sp] = a
		if err := step(k+1, len(t.Analysis.Spaces)); err != nil {
			return nil, err
		}
	}
	return as, p.assignHeads(as, t, t.Analysis.Spaces, stats, o, planned, readers)
}

// errMatch names the space that could not be matched.
func errMatch(sp *space.Space, err error) error {
	e := fault.As(err)
	return fault.Wrap(e.Kind, "match_failed", err, "space %q", sp.Name).WithHint("%s", e.Hint)
}

func (p *Prepared) assignSpace(sp *space.Space, t *merge.Trunk, stats *Statistics, o Settings, width int, find *readerFinder) (merge.Assignment, error) {
	widths := p.widths(sp)
	if keptApart(sp, t, o) {
		return merge.Average(match.Full(widths)), nil
	}
	if width == 0 && !sp.Even() {
		width = meanWidth(sp)
	}
	if o.Represent == "base" && !sp.Even() {
		return p.keepUneven(sp, moments(stats, sp), o)
	}
	if sp.Linear && o.mixes() && moments(stats, sp) != nil {
		return p.mix(sp, t, stats, o, width, find)
	}
	if o.Match == "halves" && !t.Identical[sp] && sp.Mode == space.Zip {
		return randomFeatures(sp, o, widths, width)
	}
	readers, err := find.of(sp)
	if err != nil {
		return merge.Assignment{}, err
	}
	z, keep, err := matchSpace(sp, t, stats, o, widths, width, readers)
	if err != nil {
		return merge.Assignment{}, err
	}
	m := moments(stats, sp)
	switch {
	case o.Represent == "base":
		return p.keepBase(z, sp, o)
	case keep != nil:
		return merge.Imitate(z, keep), nil
	case o.Represent == "select" && m != nil:
		return merge.Select(z, p.scores(variances(m), sp)), nil
	}
	return selectConstants(p.average(merge.Average(z), sp), m), nil
}

// selectConstants lets merged features whose members all are constant (dead units) imitate one of them: the mean
// of two dead units need not be dead.
func selectConstants(a merge.Assignment, m *calibrate.Moments) merge.Assignment {
	if m == nil {
		return a
	}
	constant := constants(m)
	for _, members := range a.Members() {
		all := true
		for _, k := range members {
			all = all && constant[k]
		}
		for i, k := range members {
			if all && i == 0 {
				a.Coef[k] = 1
			} else if all {
				a.Coef[k] = 0
			}
		}
	}
	return a
}

// constants marks the features that do not vary: their deviation is rounding noise next to the space's largest,
// or next to their own mean.
func constants(m *calibrate.Moments) []bool {
	const noise = 1e-6
	v := variances(m)
	largest := 0.0
	for _, x := range v {
		largest = max(largest, x)
	}
	out := make([]bool, len(v))
	for k, x := range v {
		out[k] = x <= noise*noise*max(largest, m.Mean[k]*m.Mean[k])
	}
	return out
}

// keepBase makes one model's features the merged ones, in its own order: the trunk is that model's, bit for
// bit.
func (p *Prepared) keepBase(z match.Zip, sp *space.Space, o Settings) (merge.Assignment, error) {
	first := sp.First(p.baseModel(o))
	place := make([]int, z.Width) // of each merged feature in the base's order
	for k := range place {
		place[k] = -1
	}
	for k := range sp.Dim {
		if place[z.Of[first+k]] >= 0 || z.Width != sp.Dim {
			return merge.Assignment{}, fault.New(fault.Usage, "bad_base", "--represent base needs a one-to-one matching").
				WithHint("use --match permute or identity")
		}
		place[z.Of[first+k]] = k
	}
	a := merge.Assignment{Zip: match.Zip{Width: z.Width, Of: make([]int, len(z.Of))}, Coef: make([]float64, len(z.Of))}
	for k, m := range z.Of {
		a.Of[k] = place[m]
	}
	for k := range sp.Dim {
		a.Coef[first+k] = 1
	}
	return a, nil
}

// baseModel is the model whose features stay as they are.
func (p *Prepared) baseModel(o Settings) int {
	for i, m := range p.Sources.Models {
		if m.Head == o.Base {
			return i
		}
	}
	return 0
}

func moments(stats *Statistics, sp *space.Space) *calibrate.Moments {
	if stats == nil || sp == nil {
		return nil
	}
	return stats.Space(sp)
}

// matchSpace chooses who joins whom, and, of a subset, keep: the member that each merged feature is. Spaces that
// are identical in all models, or were not measured (padded constants), are shared as they are; a space that may only
// be permuted never merges features of one model. Where one model's features outnumber the positions they were measured at,
// nothing tells what explains them, and zip takes over from subset.
func matchSpace(sp *space.Space, t *merge.Trunk, stats *Statistics, o Settings, widths []int, width int, readers []match.Reader) (z match.Zip, keep []int, err error) {
	switch {
	case !sp.Even():
		return matchUneven(sp, stats, o, widths, width, readers)
	case t.Identical[sp], o.Match == "identity":
		z, err = match.Identity(widths)
		return z, nil, err
	case o.Match == "full" && sp.Mode == space.Zip && sp.Fixed == "":
		return match.Full(widths), nil, nil
	case sp.Heads > 0: // heads are matched together, by assignHeads
		z, err = match.Identity(widths)
		return z, nil, err
	}
	m := moments(stats, sp)
	if m == nil {
		if width > 0 && width != sp.Dim {
			return z, nil, fault.New(fault.Unsupported, "not_measured", "its width cannot change: it could not be measured")
		}
		z, err = match.Identity(widths)
		return z, nil, err
	}
	f := stats.features(m, widths, readers)
	mo := o.matchOptions()
	mo.Width = width
	switch {
	case o.Match == "subset" && sp.Mode == space.Zip && explains(m, widths):
		return match.Subset(f, mo)
	case o.Match == "subset" && sp.Mode == space.Permute && explains(m, widths) && len(readers) > 0:
		return match.SubsetOfPairs(f, mo)
	case width > 0 && width != sp.Dim: // only zip and subset have other widths than the models'
		z, err = match.Greedy(f, mo)
	case o.Match == "random", o.Match == "halves":
		mo.Seed += uint64(sp.ID)
		z, err = match.Random(f, mo)
	case o.Match == "permute" || sp.Mode == space.Permute:
		z, err = match.Permute(f, mo)
	case o.Match == "zipit":
		z, err = match.Reference(f, mo)
	default:
		z, err = match.Greedy(f, mo)
	}
	return z, nil, err
}

// explains reports whether features were measured at enough positions to tell what explains them: at fewer than a model has
// features, any of them explain all others.
func explains(m *calibrate.Moments, widths []int) bool {
	return m != nil && m.N >= float64(slices.Max(widths))
}

func variances(m *calibrate.Moments) []float64 {
	n := len(m.Mean)
	if len(m.Cov) == n {
		return m.Cov
	}
	v := make([]float64, n)
	for k := range v {
		v[k] = m.Cov[k*n+k]
	}
	return v
}
