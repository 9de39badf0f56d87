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
func (p *Prepared) assignHeads(as merge.Assignments, t *merge.Trunk, spaces []*space.Space, stats *Statistics, o Settings, planned map[*space.Space]int, readers *readerFinder) error {
	groups := map[int][]*space.Space{}
	for _, sp := range spaces {
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
		if err := p.assignGroup(as, t, groups[g], stats, o, planned, readers); err != nil {
			return err
		}
	}
	return nil
}

// assignGroup matches the heads of one group. A space that is shared as it is, or was not measured, keeps its
// features in place, and with them the heads of the group: the others are matched inside the heads. But a space of one
// feature for each head, or of a fixed order inside, needs no statistics of its own (a table of relative positions does not
// depend on the data): it goes with the others.
func (p *Prepared) assignGroup(as merge.Assignments, t *merge.Trunk, spaces []*space.Space, stats *Statistics, o Settings, planned map[*space.Space]int, readers *readerFinder) error {
	switch o.Match {
	case "identity", "none":
		return nil
	}
	var free []*space.Space
	fixed, measured := false, 0
	for _, sp := range spaces {
		unknown := moments(stats, sp) == nil
		if t.Identical[sp] || unknown && sp.Dim > sp.Heads && !sp.InsideFixed {
			fixed = true
			continue
		}
		if !unknown {
			measured++
		}
		free = append(free, sp)
		fixed = fixed || sp.HeadsFixed
	}
	if measured == 0 {
		return nil
	}
	if !fixed {
		if kept, err := p.keepHeads(as, free, stats, o, plannedHeads(free[0], planned), readers); kept || err != nil {
			return err
		}
	}
	for i := 1; i < len(p.Sources.Models); i++ {
		if err := matchModelHeads(as, free, fixed, stats, i); err != nil {
			return err
		}
	}
	for _, sp := range free {
		a := as[sp]
		switch {
		case o.Represent == "base":
			kept, err := p.keepBase(a.Zip, sp, o)
			if err != nil {
				return err
			}
			as[sp] = kept
		case moments(stats, sp) == nil:
			as[sp] = p.average(merge.Average(a.Zip), sp)
		case o.Represent == "select":
			as[sp] = merge.Select(a.Zip, p.scores(variances(moments(stats, sp)), sp))
		default:
			as[sp] = selectConstants(p.average(merge.Average(a.Zip), sp), moments(stats, sp))
		}
	}
	return nil
}

// plannedHeads is the number of heads that a group is to have: as many as in each model, unless planned otherwise.
func plannedHeads(sp *space.Space, planned map[*space.Space]int) int {
	if w := planned[sp]; w > 0 {
		return w / (sp.Dim / sp.Heads)
	}
	return sp.Heads
}

// matchModelHeads writes model i's heads and features into the assignments of a group. Fixed heads keep their places.
func matchModelHeads(as merge.Assignments, spaces []*space.Space, fixed bool, stats *Statistics, i int) error {
	heads := spaces[0].Heads
	profit := make([]float64, heads*heads)
	features := make([]match.Features, len(spaces))
	for s, sp := range spaces {
		m := moments(stats, sp)
		if m == nil {
			continue
		}
		features[s] = match.Features{Widths: widthsOf(len(m.Mean)/sp.Dim, sp.Dim), Mean: m.Mean, Cov: m.Cov}
		if fixed {
			continue
		}
		like := newHeadLikeness(sp, features[s])
		for mine := range heads {
			for first := range heads {
				score, _, err := like.of(i*heads+mine, first)
				if err != nil {
					return err
				}
				profit[mine*heads+first] += score
			}
		}
	}
	place := identity(heads)
	if !fixed {
		var err error
		if place, err = match.Assign(heads, profit); err != nil {
			return err
		}
	}
	for s, sp := range spaces {
		d := sp.Dim / heads
		for mine, first := range place {
			inside, err := matchInside(features[s], sp, i, mine, first)
			if err != nil {
				return err
			}
			for f, to := range inside {
				as[sp].Of[i*sp.Dim+mine*d+f] = first*d + to
			}
		}
	}
	return nil
}

// matchInside matches the features of head mine of model i to those of head first of the first model.
func matchInside(f match.Features, sp *space.Space, i, mine, first int) ([]int, error) {
	d, n := sp.Dim/sp.Heads, len(f.Mean)
	if sp.InsideFixed || d == 1 {
		return identity(d), nil
	}
	two := match.Features{Widths: widthsOf(2, d)}
	var pick []int
	for k := range 2 * d {
		if k < d {
			pick = append(pick, first*d+k)
		} else {
			pick = append(pick, i*sp.Dim+mine*d+k-d)
		}
	}
	for _, k := range pick {
		two.Mean = append(two.Mean, f.Mean[k])
		for _, l := range pick {
			two.Cov = append(two.Cov, f.Cov[min(k, l)*n+max(k, l)])
		}
	}
	z, err := match.Permute(two, match.Options{Tie: measuredTie})
	if err != nil {
		return nil, err
	}
	return z.Of[d:], nil
}

func identity(n int) []int {
	of := make([]int, n)
	for k := range of {
		of[k] = k
	}
	return of
}

func widthsOf(models, dim int) []int {
	w := make([]int, models)
	for k := range w {
		w[k] = dim
	}
	return w
}
