package transform

import (
	"sort"

	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// assignHeads matches attention heads as a whole: for every group of spaces whose heads move together
// (queries and keys, values), each model's heads are assigned to the first model's by how well the features
// inside can be matched in all spaces of the group; then the features inside each pair of heads are matched.
func (p *Prepared) assignHeads(as merge.Assignments, t *merge.Trunk, stats *Statistics, o Settings) error {
	groups := map[int][]*space.Space{}
	for _, sp := range t.Analysis.Spaces {
		if sp.Heads > 0 && sp.Mode != space.Pinned {
			groups[sp.Group] = append(groups[sp.Group], sp)
		}
	}
	var order []int
	for g := range groups {
		order = append(order, g)
	}
	sort.Ints(order)
	for _, g := range order {
		if err := p.assignGroup(as, t, groups[g], stats, o); err != nil {
			return err
		}
	}
	return nil
}

// assignGroup matches the heads of one group. Without statistics, or where weights are shared as they are, heads
// and features keep their places.
func (p *Prepared) assignGroup(as merge.Assignments, t *merge.Trunk, spaces []*space.Space, stats *Statistics, o Settings) error {
	switch o.Match {
	case "identity", "none":
		return nil
	}
	for _, sp := range spaces {
		if t.Identical[sp] || moments(stats, sp) == nil {
			return nil
		}
	}
	for i := 1; i < len(p.Sources.Models); i++ {
		if err := matchModelHeads(as, spaces, stats, i); err != nil {
			return err
		}
	}
	for _, sp := range spaces {
		a := as[sp]
		switch {
		case o.Represent == "base":
			kept, err := p.keepBase(a.Zip, sp, o)
			if err != nil {
				return err
			}
			as[sp] = kept
		case o.Represent == "select":
			as[sp] = merge.Select(a.Zip, variances(moments(stats, sp)))
		}
	}
	return nil
}

// matchModelHeads writes model i's heads and features into the assignments of a group.
func matchModelHeads(as merge.Assignments, spaces []*space.Space, stats *Statistics, i int) error {
	heads := spaces[0].Heads
	profit := make([]float64, heads*heads)
	inside := make([][][]int, len(spaces)) // space → pair of heads → features
	for s, sp := range spaces {
		m := moments(stats, sp)
		f := match.Features{Widths: widthsOf(len(m.Mean)/sp.Dim, sp.Dim), Mean: m.Mean, Cov: m.Cov}
		c := f.Correlation()
		inside[s] = make([][]int, heads*heads)
		for mine := range heads {
			for first := range heads {
				score, to, err := matchInside(c, sp, i, mine, first)
				if err != nil {
					return err
				}
				profit[mine*heads+first] += score
				inside[s][mine*heads+first] = to
			}
		}
	}
	place, err := match.Assign(heads, profit)
	if err != nil {
		return err
	}
	for h := range place {
		if spaces[0].HeadsFixed {
			place[h] = h
		}
	}
	for s, sp := range spaces {
		d := sp.Dim / heads
		for mine, first := range place {
			for f, to := range inside[s][mine*heads+first] {
				as[sp].Of[i*sp.Dim+mine*d+f] = first*d + to
			}
		}
	}
	return nil
}

// matchInside matches the features of head mine of model i to those of head first of the first model, and
// returns the sum of their correlations.
func matchInside(c []float64, sp *space.Space, i, mine, first int) (score float64, to []int, err error) {
	d, all := sp.Dim/sp.Heads, len(c)
	n := 0
	for n*n < all {
		n++
	}
	profit := make([]float64, d*d)
	for f := range d {
		for g := range d {
			profit[f*d+g] = c[(first*d+g)*n+i*sp.Dim+mine*d+f]
		}
	}
	if sp.InsideFixed {
		to = make([]int, d)
		for f := range to {
			to[f] = f
		}
	} else if to, err = match.Assign(d, profit); err != nil {
		return 0, nil, err
	}
	for f, g := range to {
		score += profit[f*d+g]
	}
	return score, to, nil
}

func widthsOf(models, dim int) []int {
	w := make([]int, models)
	for k := range w {
		w[k] = dim
	}
	return w
}
