package refit

import (
	"context"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// schedule is how a fit is corrected for what an activation makes of it: in so many steps, each lengthened by a factor. A step is
// the minimum of a quadratic function that lies above the error and touches it, so up to twice as far the error still falls; and
// where a good part of the targets is cut off the function lies far above, and the minimum lies farther off. Held-out
// samples judge each step. A step of a wide node takes half the time of its normal equations, so wide ones take one.
func (p *problem) schedule() (steps int, length float64) {
	if p.groups*p.o*p.d > wideNode {
		return 1, 2.5
	}
	return 2, 1.9
}

// wideNode is the number of weights beyond which a node counts as wide.
const wideNode = 64 * 576

// activatedFit goes on from a correction, of a node with an activation φ that nothing looks past (what a ReLU gets below zero is
// zero whatever it is), and lowers, over ΔW,
//
//	Σ ∫_t^p (φ(u) − φ(t)) du  +  λ|ΔW|²
//
// p being what the node makes, t its target: the matching loss of φ (Auer, Herbster, Warmuth: Exponentially many local minima
// for single neurons, 1996), which is convex where φ does not fall. Its gradient is what is left behind the activation,
// e′ = φ(t) − φ(p), times x, and with S as in LeastSquares, for φ that rises by 1 at most,
//
//	(S + λI)·δᵀ = Cov[e′, x]ᵀ − λ·ΔWᵀ        ΔW ← ΔW + length·δ
//
// minimises a quadratic bound on it (Lange, Hunter, Yang: Optimization transfer, 2000); S and its decomposition stay.
// Zhang et al. (Accelerating very deep convolutional networks, 2015) find that fits of what a ReLU gets are better for
// looking at what it makes of it. It returns the corrections after each step. solvers have λ, one for each group.
func (l *fitter) activatedFit(ctx context.Context, p *problem, systems []*normal, solvers []*ridgeSolver, start []*correction) (steps [][]*correction, err error) {
	w, err := p.weights(l.merged)
	if err != nil {
		return nil, err
	}
	at := start
	n, length := p.schedule()
	for range n {
		sums, err := l.fit.activatedSums(ctx, p, corrected(w, at, p), systems)
		if err != nil {
			return nil, err
		}
		next := make([]*correction, len(at))
		for g, m := range sums {
			if next[g] = at[g]; solvers[g] == nil || start[g] == nil { // best left alone
				continue
			}
			if next[g], err = solvers[g].step(m, at[g], length); err != nil {
				return nil, err
			}
		}
		steps, at = append(steps, next), next
	}
	return steps, nil
}

// activatedSums are the systems with Σ e′x̃ᵀ in the place of Σ e x̃ᵀ, the node having the weights w.
func (p pairWalk) activatedSums(ctx context.Context, q *problem, w []float32, systems []*normal) ([]*normal, error) {
	out := make([]*normal, len(systems))
	for g, m := range systems {
		c := *m
		c.rx, c.rr = make([]float64, len(m.rx)), nil
		out[g] = &c
	}
	weights := q.grouped(w, q.o, q.d+1)
	more := func(feeds map[string]*onnx.Tensor) { feeds[sumW] = weights }
	return out, p.overBatches(ctx, q.activatedGraph(p.walk.model.Opset("")), q, more, func(b batchSums) error {
		rx, _, err := b.out[sumRX].ViewFloat32s()
		if err != nil {
			return err
		}
		for g, m := range out {
			accumulate(m.rx, rx[g*len(m.rx):])
		}
		return nil
	})
}

// corrected is a problem's weights with a correction for each group.
func corrected(w []float32, cs []*correction, p *problem) []float32 {
	flat := make([]float32, 0, len(w))
	for _, c := range cs {
		flat = c.append(flat, p.d, p.o)
	}
	for k := range flat {
		flat[k] += w[k]
	}
	return flat
}

// ridgeSolver solves one group's steps, which have S in common.
type ridgeSolver struct {
	solve func(c *matrix) (*matrix, error)
	ridge float64
}

// newRidgeSolver returns nil where S + λI cannot be decomposed.
func newRidgeSolver(p *products, m *normal, lambda float64) (*ridgeSolver, error) {
	s, _ := m.centred()
	r := &ridgeSolver{ridge: lambda * s.trace() / float64(m.d)}
	var err error
	if r.solve, err = p.decomposed(s, r.ridge); r.solve == nil {
		return nil, err
	}
	return r, err
}

// step is the next correction, so much further: m has what the one before leaves.
func (r *ridgeSolver) step(m *normal, at *correction, length float64) (*correction, error) {
	c := m.centredCross()
	for k, v := range at.w.v {
		c.v[k] -= r.ridge * v
	}
	w, err := r.solve(c)
	if err != nil || w == nil || !w.finite() {
		return at, err
	}
	x, left := m.means()
	next := &correction{w: w, b: bias(w, x, left)}
	for k, v := range at.w.v {
		w.v[k] = v + length*w.v[k]
	}
	for i, v := range at.b {
		next.b[i] = v + length*next.b[i]
	}
	return next, nil
}
