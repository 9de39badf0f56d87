package refit

import (
	"context"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Fit is what LeastSquares did to a node.
type Fit struct {
	Node    string   `json:"node"`
	Head    string   `json:"head,omitempty"`
	At      string   `json:"at"`                    // where it was compared with the sources
	With    []string `json:"fitted_with,omitempty"` // the nodes that were fitted in one system with it
	Inputs  int      `json:"inputs"`                // weights behind each output
	Samples float64  `json:"samples"`               // positions that it was fitted on
	// Way is what was done: ls; repair, which is tried too where there are few positions; none.
	Way    string  `json:"way"`
	Lambda float64 `json:"lambda"` // the ridge chosen; 0 where the node was not solved for
	// Activated is set where errors are those behind an activation, and the fit was corrected to lower them.
	Activated bool `json:"behind_activation,omitempty"`
	// Before and After are the squared error on held-out samples, relative to the target's variance.
	Before float64 `json:"relative_error_before"`
	After  float64 `json:"relative_error_after"`
	// Enough is the number of positions that would do, where there were too few.
	Enough float64 `json:"samples_wanted,omitempty"`
}

// fewSamples: below so many positions for each weight a fit is doubtful; held-out samples still judge it.
const fewSamples = 4

// LeastSquares refits nodes, in topological order, to what the sources compute there, given what the merged
// network really sees by then (sequential least squares; PLeaS, arXiv 2407.02447, is the idea):
//
//	ΔW = Cov[r, x](Cov[x, x] + λI)⁻¹,  Δb = E[r] − ΔW·E[x],  r = Σ_i M_i·z_i − z
//
// x are the node's inputs (im2col'd), z what it makes, z_i what the sources make there. Corrections shrink
// towards none and are kept only where they lower the error on held-out samples, so that an exact merge
// stays as it is. merged is changed in place.
//
// The sources run once over the samples, and each node of the merged network is computed once for each, with
// its final weights: what it makes with the old ones follows from its inputs at the sampled positions.
func LeastSquares(ctx context.Context, merged *onnx.Model, nodes []Linear, s *Sources) ([]Fit, error) {
	if s.held.src == nil || s.held.src.Samples() == 0 {
		return nil, fault.New(fault.Data, "few_samples", "least squares needs held-out samples").
			WithHint("give at least 20 samples, or use --refit repair")
	}
	l := &fitter{merged: merged, sources: s, workers: s.o.Workers}
	defer l.close()
	if err := l.open(ctx, nodes); err != nil {
		return nil, err
	}
	for k := range l.problems {
		if err := l.node(ctx, k); err != nil {
			return nil, fault.As(err).AtNode(l.problems[k].Name)
		}
	}
	return l.fits, nil
}

type fitter struct {
	merged    *onnx.Model
	sources   *Sources
	workers   int
	problems  []*problem
	fit, held pairWalk
	products  *products
	fits      []Fit
}

// open describes the problems and runs the sources over all samples.
func (l *fitter) open(ctx context.Context, nodes []Linear) (err error) {
	ix, err := onnx.NewIndex(l.merged.Graph())
	if err != nil {
		return err
	}
	l.problems = problemsOf(ix, nodes)
	if len(l.problems) == 0 {
		return nil
	}
	e := l.sources.engine
	l.products = &products{calibrate.NewProducts(ctx, e)}
	for _, pass := range []struct {
		pair    *pairWalk
		targets *targets
	}{{&l.fit, l.sources.fit}, {&l.held, l.sources.held}} {
		pass.pair.targets, pass.pair.columns = pass.targets, &columnCache{}
		if pass.pair.walk, err = newWalk(e, l.merged, pass.targets.src, wantsOf(l.problems), l.sources.store, l.sources.o); err != nil {
			return err
		}
		if err := pass.targets.prepare(ctx, l.problems); err != nil {
			return err
		}
	}
	return nil
}

// wants are the values that a fit looks at.
func (p *problem) wants() []string {
	var values []string
	for _, q := range p.parts {
		values = append(values, q.Input)
	}
	if p.skip != "" {
		values = append(values, p.skip)
	}
	return values
}

func wantsOf(problems []*problem) (wants [][]string) {
	for _, p := range problems {
		wants = append(wants, p.wants())
	}
	return wants
}

func (l *fitter) close() {
	if l.products != nil {
		l.products.engine.Close()
	}
	for _, pair := range []pairWalk{l.fit, l.held} {
		if pair.walk != nil {
			l.sources.store.dropAll(pair.walk)
		}
	}
}

// node fits one node; the walks then go on with its new weights.
func (l *fitter) node(ctx context.Context, k int) error {
	p := l.problems[k]
	for _, pair := range []pairWalk{l.fit, l.held} {
		if err := pair.walk.advance(ctx); err != nil {
			return err
		}
		defer pair.targets.drop(p)
	}
	systems, err := l.fit.normals(ctx, p)
	if err != nil {
		return err
	}
	f := Fit{At: p.At, Samples: systems[0].n}
	if enough := fewSamples * float64(p.d); f.Samples < enough {
		f.Enough = enough
	}
	variance, err := l.held.targets.varianceOf(p)
	if err != nil {
		return err
	}
	variance = max(variance, math.SmallestNonzeroFloat32)
	lambdas := ridges
	if f.Enough > 0 {
		lambdas = slices.Concat(ridges, strongRidges)
	}
	tries, solvers, err := l.tries(p, systems, variance, lambdas)
	if err != nil {
		return err
	}
	if f.Enough > 0 && len(tries) > 1 {
		if tries, err = l.addRepair(p, systems, tries); err != nil {
			return err
		}
	}
	errors, err := l.held.judge(ctx, p, tries)
	if err != nil {
		return err
	}
	best, left := choose(tries, errors, variance, lambdas, &f)
	if p.activation != nil && f.Way == "ls" {
		if solvers, err = l.solversOf(systems, solvers, lambdas, f.Lambda); err != nil {
			return err
		}
		if best, err = l.behindActivation(ctx, p, systems, solvers, best, left, variance, &f); err != nil {
			return err
		}
	}
	l.fits = append(l.fits, f.forEach(p.parts)...)
	if best == nil {
		return nil
	}
	return correctNodes(l.merged, p, best)
}

// behindActivation takes, for each group, the best of a correction, which leaves so much, and those that activatedFit makes of it.
func (l *fitter) behindActivation(ctx context.Context, p *problem, systems []*normal, solvers []*ridgeSolver, best []*correction, left []float64, variance float64, f *Fit) ([]*correction, error) {
	steps, err := l.activatedFit(ctx, p, systems, solvers, best)
	if err != nil {
		return nil, err
	}
	errors, err := l.held.judge(ctx, p, steps)
	if err != nil {
		return nil, err
	}
	best, f.After = slices.Clone(best), 0
	for g := range best {
		least := left[g]
		for k := range steps {
			if errors[k][g] < least {
				best[g], least, f.Activated = steps[k][g], errors[k][g], true
			}
		}
		f.After += least / variance
	}
	return best, nil
}

// forEach is what was done to each node of a problem.
func (f Fit) forEach(parts []part) (fits []Fit) {
	for k, q := range parts {
		f.Node, f.Head, f.Inputs, f.With = q.Name, q.Head, q.d, nil
		for j, other := range parts {
			if j != k {
				f.With = append(f.With, other.Name)
			}
		}
		fits = append(fits, f)
	}
	return fits
}

// exact is the relative squared error that counts as none: that of float32 rounding.
const exact = 1e-10

// keptFactors bounds the decompositions that are kept while a node is fitted, in bytes: fits behind an activation use one of
// them again.
const keptFactors = 256 << 20

// tries are what the held-out samples choose from, for each group: no correction, and one for each ridge
// unless the merge is exact already. solvers are, for each group, what S with each ridge was decomposed into, where that
// is little and of use.
func (l *fitter) tries(p *problem, systems []*normal, variance float64, lambdas []float64) (tries [][]*correction, solvers []*ridgeSolver, err error) {
	tries = [][]*correction{make([]*correction, len(systems))}
	left := 0.0
	for _, m := range systems {
		left += m.energy()
	}
	if left <= exact*variance {
		return tries, nil, nil
	}
	for range lambdas {
		tries = append(tries, make([]*correction, len(systems)))
	}
	workers := l.workers // for the ridges, or the groups
	if len(systems) > 1 {
		workers = 1
	}
	if p.activation != nil && 8*p.d*p.d*len(systems)*len(lambdas) <= keptFactors {
		solvers = make([]*ridgeSolver, len(systems)*len(lambdas))
	}
	return tries, solvers, parallel(l.workers, 0, len(systems), func(g int) error {
		fits, factors, err := systems[g].fits(l.products, lambdas, workers)
		for k, c := range fits {
			tries[k+1][g] = c
		}
		if solvers != nil {
			copy(solvers[g*len(lambdas):], factors)
		}
		return err
	})
}

// solversOf are those with one ridge, for each group: of the ones kept, or new.
func (l *fitter) solversOf(systems []*normal, kept []*ridgeSolver, lambdas []float64, lambda float64) ([]*ridgeSolver, error) {
	out := make([]*ridgeSolver, len(systems))
	return out, parallel(l.workers, 0, len(systems), func(g int) (err error) {
		if kept != nil {
			out[g] = kept[g*len(lambdas)+slices.Index(lambdas, lambda)]
			return nil
		}
		out[g], err = newRidgeSolver(l.products, systems[g], lambda)
		return err
	})
}

// addRepair adds to the tries the repair of each group: two numbers for each channel, which few positions can tell.
func (l *fitter) addRepair(p *problem, systems []*normal, tries [][]*correction) ([][]*correction, error) {
	w, err := p.weights(l.merged)
	if err != nil {
		return nil, err
	}
	repairs := make([]*correction, len(systems))
	for g, m := range systems {
		repairs[g] = m.repair(w[g*p.o*(p.d+1):][:p.o*(p.d+1)])
	}
	return append(tries, repairs), nil
}

// choose takes for each group the try with the least error, which it returns too; nil where all groups are best left alone.
func choose(tries [][]*correction, errors [][]float64, variance float64, lambdas []float64, f *Fit) (best []*correction, left []float64) {
	best, left = make([]*correction, len(tries[0])), make([]float64, len(tries[0]))
	f.Way = "none"
	for g := range best {
		at := 0
		for k := range tries {
			if errors[k][g] < errors[at][g] {
				at = k
			}
		}
		f.Before += errors[0][g] / variance
		left[g] = errors[at][g]
		f.After += left[g] / variance
		switch best[g] = tries[at][g]; {
		case best[g] == nil:
		case at > len(lambdas):
			if f.Way == "none" {
				f.Way = "repair"
			}
		default:
			f.Way, f.Lambda = "ls", max(f.Lambda, lambdas[at-1])
		}
	}
	if f.Way == "none" {
		return nil, left
	}
	return best, left
}
