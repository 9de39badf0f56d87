package transform

import (
	"math/rand/v2"

	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// keepHeads keeps so many whole attention heads of a group, each imitated in all spaces of the group:
// those that explain best what is read of all heads (subset), or the same number of each model at random (halves).
// ok is false where they are to be matched otherwise.
func (p *Prepared) keepHeads(as merge.Assignments, spaces []*space.Space, stats *Statistics, o Settings, heads int, readers *readerFinder) (ok bool, err error) {
	for _, sp := range spaces {
		if moments(stats, sp) == nil || !sp.Even() || sp.Dim%sp.Heads != 0 {
			return false, nil
		}
	}
	var kept []int
	switch o.Match {
	case "subset":
		kept, err = p.bestHeads(spaces, stats, heads, readers)
		if kept == nil && heads != spaces[0].Heads { // too few samples to tell, but so many it must be
			kept = p.randomHeads(spaces[0], heads, o.Seed)
		}
	case "halves":
		kept = p.randomHeads(spaces[0], heads, o.Seed)
	}
	if kept == nil || err != nil {
		return false, err
	}
	return true, p.joinHeads(as, spaces, stats, kept)
}

// bestHeads ranks heads, counted over all models, where constant weights read their features: the values' space. It
// returns nil where no space of the group is read so.
func (p *Prepared) bestHeads(spaces []*space.Space, stats *Statistics, heads int, readers *readerFinder) ([]int, error) {
	for _, sp := range spaces {
		m, widths := moments(stats, sp), p.widths(sp)
		read, err := readers.of(sp)
		if err != nil {
			return nil, err
		}
		if len(read) > 0 && explains(m, widths) {
			return match.RankBlocks(stats.features(m, widths, read), sp.Dim/sp.Heads, heads)
		}
	}
	return nil, nil
}

// randomHeads draws heads, as many of each model but for the rest.
func (p *Prepared) randomHeads(sp *space.Space, heads int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed+uint64(sp.ID), 2))
	models := len(p.Sources.Models)
	orders := make([][]int, models)
	for i := range orders {
		orders[i] = rng.Perm(sp.Heads)
	}
	first := rng.IntN(models)
	var kept []int
	for k := range heads {
		i := (first + k) % models
		kept = append(kept, i*sp.Heads+orders[i][k/models])
	}
	return kept
}

// joinHeads lets merged head m imitate head kept[m], counted over all models, in all spaces, and be joined by the most
// similar head of every other model that is not kept itself.
func (p *Prepared) joinHeads(as merge.Assignments, spaces []*space.Space, stats *Statistics, kept []int) error {
	like := make([]headLikeness, len(spaces))
	for s, sp := range spaces {
		m := moments(stats, sp)
		like[s] = newHeadLikeness(sp, match.Features{Widths: p.widths(sp), Mean: m.Mean, Cov: m.Cov})
	}
	join := match.JoinKept
	if len(kept) != spaces[0].Heads {
		join = match.JoinNearest
	}
	z, err := join(widthsOf(len(p.Sources.Models), spaces[0].Heads), kept, func(k, l int) (total float64, err error) {
		for _, x := range like {
			score, _, err := x.of(k, l)
			if err != nil {
				return 0, err
			}
			total += score
		}
		return total, nil
	})
	if err != nil {
		return err
	}
	for _, x := range like {
		if as[x.sp], err = x.imitate(z, kept); err != nil {
			return err
		}
	}
	return nil
}

// headLikeness compares heads in one space by the correlations of their features, n × n.
type headLikeness struct {
	sp *space.Space
	c  []float64
	n  int
}

func newHeadLikeness(sp *space.Space, f match.Features) headLikeness {
	return headLikeness{sp, f.Correlation(), len(f.Mean)}
}

// of is the largest sum of the correlations of the features of two heads, counted over all models, and which of the other's
// each feature of the first goes with.
func (x headLikeness) of(head, other int) (score float64, to []int, err error) {
	d := x.sp.Dim / x.sp.Heads
	profit := make([]float64, d*d)
	for f := range d {
		for g := range d {
			profit[f*d+g] = x.c[(head*d+f)*x.n+other*d+g]
		}
	}
	to = identity(d)
	if !x.sp.InsideFixed && head != other {
		if to, err = match.Assign(d, profit); err != nil {
			return 0, nil, err
		}
	}
	for f, g := range to {
		score += profit[f*d+g]
	}
	return score, to, nil
}

// imitate writes out, feature by feature, that head k joins merged head z.Of[k], which is kept[z.Of[k]].
func (x headLikeness) imitate(z match.Zip, kept []int) (merge.Assignment, error) {
	d := x.sp.Dim / x.sp.Heads
	features := match.Zip{Width: len(kept) * d, Of: make([]int, x.n)}
	for head, m := range z.Of {
		_, inside, err := x.of(head, kept[m])
		if err != nil {
			return merge.Assignment{}, err
		}
		for f, to := range inside {
			features.Of[head*d+f] = m*d + to
		}
	}
	var keep []int
	for _, head := range kept {
		for f := range d {
			keep = append(keep, head*d+f)
		}
	}
	return merge.Imitate(features, keep), nil
}
