package calibrate

import (
	"context"
	"slices"
)

// stage runs batches of one size: in one segment, or where their sums would take too much memory in several, one
// after the other.
type stage struct {
	plans    []tapPlan
	segments []*segment
	shared   bool // the segments are those of another stage, which closes them
}

func (s *stage) close() {
	for _, seg := range s.segments {
		if seg.session != nil && !s.shared {
			seg.session.Close()
		}
	}
}

// open makes the stage for batches of so many samples. It shares the sessions of c.full where it can. A single segment is
// opened here, several are when the first batch comes by: the engine tells then what they read.
func (c *capture) open(ctx context.Context, seen map[string]glimpse, samples int) (*stage, error) {
	s := &stage{}
	for _, t := range c.taps {
		p, err := planTap(t, seen, samples, c.options)
		if err != nil {
			return nil, err
		}
		s.plans = append(s.plans, p)
	}
	if c.full != nil && slices.EqualFunc(s.plans, c.full.plans, tapPlan.sameGraph) {
		s.segments, s.shared = c.full.segments, true
		return s, nil
	}
	if c.full == nil {
		s.segments = c.segment(s.plans)
	} else { // the batches take turns, segment by segment
		for _, seg := range c.full.segments {
			s.segments = append(s.segments, &segment{piece: seg.piece})
		}
	}
	if len(s.segments) > 1 {
		return s, nil
	}
	return s, c.openSegment(ctx, s.segments[0], s.plans, nil)
}

// segment divides taps, in the order of their values in the graph, into runs whose products and values take at most
// MemoryBytes: the engine may well compute all values of a run first.
func (c *capture) segment(plans []tapPlan) []*segment {
	place := map[string]int{} // of each value
	for k, n := range c.index.Order {
		for _, out := range n.GetOutput() {
			place[out] = k + 1
		}
	}
	last := func(t int) int { // the place behind which the tap can be computed
		at := 0
		for _, part := range plans[t].tap.Parts {
			at = max(at, place[part.Value])
		}
		return at
	}
	order := make([]int, len(plans))
	for t := range order {
		order[t] = t
	}
	slices.SortStableFunc(order, func(a, b int) int { return last(a) - last(b) })
	var all []*segment
	bytes := int64(0)
	for _, t := range order {
		size := plans[t].handsOut() + plans[t].read
		if len(all) == 0 || bytes+size > c.options.MemoryBytes {
			all, bytes = append(all, &segment{}), 0
		}
		bytes += size
		seg := all[len(all)-1]
		seg.taps = append(seg.taps, t)
	}
	for _, seg := range all {
		slices.Sort(seg.taps)
		var taps []Tap
		for _, t := range seg.taps {
			taps = append(taps, plans[t].tap)
		}
		seg.wants = tappedValues(taps)
	}
	c.want(all)
	c.link(all)
	return all
}

// want makes the last segment compute what the options' Extra reads and no tap needs.
func (c *capture) want(all []*segment) {
	if c.options.Extra == nil {
		return
	}
	computed := ancestors(c.index, tappedValues(c.taps), nil)
	last := all[len(all)-1]
	for _, v := range c.options.Extra.Values {
		if !computed.values[v] {
			last.wants = append(last.wants, v)
		}
	}
}

// link finds what segments read, and hand over to those behind them.
func (c *capture) link(all []*segment) {
	done := map[string]bool{} // values that earlier segments compute
	for _, seg := range all {
		needed := ancestors(c.index, seg.wants, done)
		for v := range needed.values {
			if done[v] {
				seg.given = append(seg.given, v)
			}
			if c.index.Input(v) != nil {
				seg.inputs = append(seg.inputs, v)
			}
		}
		slices.Sort(seg.given)
		for n := range needed.nodes {
			seg.makes = append(seg.makes, n.GetOutput()...)
		}
		if c.options.Extra != nil {
			seg.extra = slices.DeleteFunc(slices.Clone(c.options.Extra.Values), func(v string) bool { return !slices.Contains(seg.makes, v) })
		}
		for _, out := range seg.makes {
			done[out] = true
		}
	}
	read := map[string]bool{}
	for k := len(all) - 1; k >= 0; k-- {
		for _, v := range all[k].makes {
			if read[v] {
				all[k].keeps = append(all[k].keeps, v)
			}
		}
		slices.Sort(all[k].keeps)
		for _, v := range all[k].given {
			if !read[v] {
				all[k].drops = append(all[k].drops, v)
			}
			read[v] = true
		}
	}
}
