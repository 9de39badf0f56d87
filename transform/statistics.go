package transform

import (
	"context"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Statistics are the moments that a merge needs, measured in the source models.
type Statistics struct {
	// Moments by tap: spaceTap for the features of a space, all models stacked; nodeTap for the mean and
	// variance of what a linear node makes; placeTap for those of a space's features where they are read
	// before the last place.
	Moments map[string]*calibrate.Moments
	Samples int
	// Products multiplies large matrices where features are chosen; nil leaves them to gonum.
	Products match.Products
}

// features are a space's, with what its moments say of them.
func (s *Statistics) features(m *calibrate.Moments, widths []int, readers []match.Reader) match.Features {
	return match.Features{Widths: widths, Mean: m.Mean, Cov: m.Cov, Readers: readers, Products: s.Products}
}

// Space returns the moments of a space's features, nil where it was not measured.
func (s *Statistics) Space(sp *space.Space) *calibrate.Moments { return s.Moments[spaceTap(sp)] }

// at returns the moments of a space's features in a value, by model 0's name; those of the last place that is read where
// it was not measured by itself.
func (s *Statistics) at(sp *space.Space, value string) *calibrate.Moments {
	if m := s.Moments[placeTap(sp, value)]; m != nil {
		return m
	}
	return s.Space(sp)
}

// Node returns mean and variance of what the linear nodes of a group make, all models stacked.
func (s *Statistics) Node(group int) *calibrate.Moments { return s.Moments[nodeTap(group)] }

// Measure runs all sources side by side over src and returns the moments that merging needs: one Gram
// for each space, and with nodes the pre-activation means and variances that a repair aims at.
func (p *Prepared) Measure(ctx context.Context, e calibrate.Engine, t *merge.Trunk, src calibrate.Source, nodes bool, o calibrate.CaptureOptions) (*Statistics, error) {
	return p.measureShared(ctx, e, t, src, nodes, false, o, NewShared())
}

// measureShared is Measure that measures what s does not hold yet, and adds it to s. With places it measures spaces wherever
// they are read, as the choice of a subset needs it.
func (p *Prepared) measureShared(ctx context.Context, e calibrate.Engine, t *merge.Trunk, src calibrate.Source, nodes, places bool, o calibrate.CaptureOptions, s *Shared) (*Statistics, error) {
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	return s.measure(ctx, e, tapper{p.Sources, t, side}, src, nodes, places, o)
}

// measure measures what a tapper's trunk needs and s does not hold yet.
func (s *Shared) measure(ctx context.Context, e calibrate.Engine, tp tapper, src calibrate.Source, nodes, places bool, o calibrate.CaptureOptions) (*Statistics, error) {
	capture := func(taps []calibrate.Tap) (map[string]*calibrate.Moments, error) {
		return s.capture(ctx, e, tp.side.Model, taps, src, o)
	}
	out, err := &Statistics{Samples: src.Samples()}, error(nil)
	if out.Moments, err = capture(tp.taps(nodes, places)); err != nil {
		return nil, err
	}
	o.Extra = nil // it is there now
	return out, out.lookElsewhere(tp, s.scratch, capture)
}

// measureNodes adds the means and variances of what the linear nodes make to statistics that lack them.
func (p *Prepared) measureNodes(ctx context.Context, e calibrate.Engine, t *merge.Trunk, src calibrate.Source, o calibrate.CaptureOptions, s *Shared, into *Statistics) error {
	side, err := p.SideBySide(nil)
	if err != nil {
		return err
	}
	taps := tapper{p.Sources, t, side}.nodes()
	if len(taps) == 0 || into.Moments[taps[0].Name] != nil {
		return nil
	}
	more, err := s.capture(ctx, e, side.Model, taps, src, o)
	for name, m := range more {
		into.Moments[name] = m
	}
	return err
}

// lookElsewhere measures spaces with features that are constant at their tap wherever else they are read: along a
// residual stream a unit may be dead at the end and alive before. The correlations of all places are added up,
// those of constant features being 0.
func (s *Statistics) lookElsewhere(tp tapper, scratch *calibrate.Scratch, capture func([]calibrate.Tap) (map[string]*calibrate.Moments, error)) error {
	var taps []calibrate.Tap
	places := map[*space.Space][]string{}
	for _, sp := range tp.t.Analysis.Spaces {
		m := s.Space(sp)
		if m == nil || !slices.Contains(constants(m), true) {
			continue
		}
		for k, at := range tp.findAll(sp) {
			name := placeTap(sp, at.value)
			if k == 0 {
				s.Moments[name] = m
			} else if s.Moments[name] == nil {
				taps = append(taps, calibrate.Tap{Name: name, Parts: at.parts})
			}
			places[sp] = append(places[sp], name)
		}
	}
	if len(taps) > 0 {
		more, err := capture(taps)
		if err != nil {
			return err
		}
		for name, m := range more {
			s.Moments[name] = m
		}
	}
	for sp, names := range places {
		var all []*calibrate.Moments
		for _, name := range names {
			all = append(all, s.Moments[name])
		}
		if len(all) > 1 {
			cov, err := scratch.Floats(all[0].Features() * all[0].Features())
			if err != nil {
				return err
			}
			s.Moments[spaceTap(sp)] = addCorrelations(all, cov)
		}
	}
	return nil
}

// addCorrelations adds up the correlations of the same features in several places; a feature's variance then is
// the number of places where it varies. The mean is that of the first place that tells features apart which vary
// nowhere, else that of the first: behind a depthwise convolution, what a dead unit makes is its bias.
// cov, as many zeros as they have covariances, becomes theirs.
func addCorrelations(all []*calibrate.Moments, cov []float64) *calibrate.Moments {
	n := all[0].Features()
	sum := &calibrate.Moments{N: all[0].N, Mean: tellingMeans(all), Cov: cov}
	for _, m := range all {
		std, constant := m.Std(), constants(m)
		for i := range n {
			for j := range n {
				if !constant[i] && !constant[j] {
					sum.Cov[i*n+j] += m.Covariance(i, j) / (std[i] * std[j])
				}
			}
		}
	}
	return sum
}

// tellingMeans are the means of the first place where those features differ that vary nowhere.
func tellingMeans(all []*calibrate.Moments) []float64 {
	var dead []int
	varies := make([]bool, all[0].Features())
	for _, m := range all {
		for k, constant := range constants(m) {
			varies[k] = varies[k] || !constant
		}
	}
	for k, v := range varies {
		if !v {
			dead = append(dead, k)
		}
	}
	for _, m := range all {
		for _, k := range dead {
			if d := m.Mean[k] - m.Mean[dead[0]]; math.Abs(d) > 1e-6*math.Abs(m.Mean[k]) {
				return m.Mean
			}
		}
	}
	return all[0].Mean
}

// SideBySide is the sources in one graph that shares the inputs: the ensemble. rename is that of
// merge.Options. Each has its own prefix only.
func (p *Prepared) SideBySide(rename map[string]string) (*merge.Merged, error) {
	base := p.whole().Sources.Base()
	t, err := merge.FindTrunk(base, merge.Cut{None: true})
	if err != nil {
		return nil, err
	}
	return merge.Build(base, t, nil, merge.Options{Rename: rename})
}
