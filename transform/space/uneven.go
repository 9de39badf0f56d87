package space

import (
	"fmt"
	"strings"
)

// Models may have different numbers of features in a space that may be zipped. Corresponding axes then hold the same
// runs, of other lengths: these are tied run by run. Where as many features are needed in each model (they may only
// change places, they are divided into heads, they meet aligned positions), the space is pinned.

// positionsIn is the number of positions of a run in one of the models that share its block.
func (r run) positionsIn(model int) int {
	if r.b == nil || r.b.even() {
		return r.positions()
	}
	n := r.b.sizes[model]
	switch {
	case n < 0 || r.many:
		return -1
	case r.part == HeadPart:
		n = r.b.heads.count
	case r.part == InsidePart || r.part == GroupPart:
		n /= r.b.heads.count
	}
	return n * r.inner
}

// even reports whether all models that have the block have as many features there.
func (b *block) even() bool {
	for _, n := range b.sizes {
		if n != 0 && n != b.size {
			return false
		}
	}
	return true
}

// tieAxes unites an axis of a value of a model with that of its counterpart in model 0.
func (a *analyzer) tieAxes(x, y axis, model int, why Reason) {
	x, y = resolve(x), resolve(y)
	if evenRuns(x, y) {
		a.unify(x, y, why)
		return
	}
	if !sameRuns(x, y) {
		why.Text = "lays the features out in another way than in model 1"
		restrictAll(x, Pinned, why)
		restrictAll(y, Pinned, why)
		return
	}
	for k := range x {
		if x[k].b != nil {
			union(x[k].b, y[k].b)
		}
	}
}

// evenRuns reports whether two axes have as many positions, as far as is known, and no run of a width per model.
func evenRuns(x, y axis) bool {
	for _, r := range append(x[:len(x):len(x)], y...) {
		if r.b != nil && !r.b.even() {
			return false
		}
	}
	n, m := x.positions(), y.positions()
	if n >= 0 && m >= 0 && n != m {
		return false
	}
	if len(x) != len(y) || n < 0 || m < 0 {
		return true
	}
	for k := range x {
		if x[k].positions() != y[k].positions() && sameRuns(x, y) {
			return false
		}
	}
	return true
}

// sameRuns reports whether two axes hold runs of the same kind, one after the other.
func sameRuns(x, y axis) bool {
	if len(x) != len(y) {
		return false
	}
	for k, p := range x {
		q := y[k]
		switch {
		case (p.b == nil) != (q.b == nil):
			return false
		case p.b == nil:
			if p.size != q.size && p.size >= 0 && q.size >= 0 {
				return false
			}
		case p.inner != q.inner || p.part != q.part || p.many != q.many:
			return false
		}
	}
	return true
}

// pinUneven pins a space whose number of features differs between the models where it has to be the same.
func pinUneven(s *Space) {
	if s.Even() || s.Mode == Zip && s.Heads == 0 && s.Fixed == "" {
		return
	}
	var sizes []string
	for i, n := range s.Dims {
		sizes = append(sizes, fmt.Sprintf("%d in model %d", n, i+1))
	}
	why := s.Reasons()
	if s.Fixed != "" {
		why = s.Fixed
	}
	s.Mode, s.Aligned = Pinned, false
	s.Why = []Reason{{Text: fmt.Sprintf("the features are %s, and %s", strings.Join(sizes, ", "), why)}}
}
