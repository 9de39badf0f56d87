package transform

import (
	"context"
	"fmt"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// Shared is what several merges of one Prepared over the same calibration data have in common: the second moments
// of the sources' features, each measured once, and the sources' outputs on held-out samples. Merges with other
// options may use it one after the other, as long as Options.Rename is the same; it is not for several at once.
type Shared struct {
	scratch *calibrate.Scratch            // where the moments are
	moments map[string]*calibrate.Moments // by what was tapped over how many samples
	truth   map[string]output             // the sources' outputs on held-out samples, once they were needed
}

// NewShared holds nothing yet: the first merge that needs a figure adds it. Moments are kept as the options of that merge
// say, in memory up to Refit.Memory and beyond it in Refit.Scratch, until Close.
func NewShared() *Shared { return &Shared{moments: map[string]*calibrate.Moments{}} }

// Close frees what is kept in scratch space. No merge may use s afterwards; nil is closed already.
func (s *Shared) Close() error {
	if s == nil {
		return nil
	}
	return s.scratch.Close()
}

// keepAs sets up where moments are kept, the first time.
func (s *Shared) keepAs(o refit.Options) {
	if s.scratch == nil {
		o = o.WithDefaults()
		s.scratch = calibrate.NewScratch(o.Scratch, o.Memory)
	}
}

// Share measures in one pass over src what merges with these options need, the largest trunk's statistics and what
// narrower ones read elsewhere. The caller closes the result. Options without a trunk, or that need no data, ask for nothing; their own Merge says
// what is wrong with them.
func (p *Prepared) Share(ctx context.Context, e calibrate.Engine, src calibrate.Source, options []Options) (*Shared, error) {
	s := NewShared()
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	passes := map[int]*pass{} // by number of samples
	var order []*pass
	for _, o := range options {
		q, t, err := p.trunk(o)
		if err != nil || !o.needsData() || t.Exact {
			continue
		}
		if o.Mask, err = p.mask(o.Mask); err != nil {
			return nil, err
		}
		s.keepAs(o.Refit)
		samples := o.measured(src)
		one := passes[samples.Samples()]
		if one == nil {
			one = &pass{src: samples, o: o.capture(), seen: map[string]bool{}}
			passes[samples.Samples()], order = one, append(order, one)
		}
		one.add(tapper{q.Sources, t, side}.taps(o.measuresNodes(), o.measuresPlaces()))
	}
	for _, one := range order {
		if _, err := s.capture(ctx, e, side.Model, one.taps, one.src, one.o); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// pass is one run of the sources over samples.
type pass struct {
	src  calibrate.Source
	o    calibrate.CaptureOptions
	taps []calibrate.Tap
	seen map[string]bool
}

// add adds taps under names of their own: those of spaces are numbered trunk by trunk.
func (one *pass) add(taps []calibrate.Tap) {
	for _, tap := range taps {
		if key := tapKey(tap, one.src); !one.seen[key] {
			one.seen[key] = true
			tap.Name = fmt.Sprintf("shared %d", len(one.taps))
			one.taps = append(one.taps, tap)
		}
	}
}

// capture is calibrate.Capture of those taps that were not captured before.
func (s *Shared) capture(ctx context.Context, e calibrate.Engine, m *onnx.Model, taps []calibrate.Tap, src calibrate.Source, o calibrate.CaptureOptions) (map[string]*calibrate.Moments, error) {
	var missing []calibrate.Tap
	for _, tap := range taps {
		if s.moments[tapKey(tap, src)] == nil {
			missing = append(missing, tap)
		}
	}
	if len(missing) > 0 {
		o.Scratch = s.scratch
		got, err := calibrate.Capture(ctx, e, m, missing, src, o)
		if err != nil {
			return nil, err
		}
		for _, tap := range missing {
			s.moments[tapKey(tap, src)] = got[tap.Name]
		}
	}
	out := map[string]*calibrate.Moments{}
	for _, tap := range taps {
		out[tap.Name] = s.moments[tapKey(tap, src)]
	}
	return out, nil
}

// tapKey is what a tap measures, whatever it is called.
func tapKey(t calibrate.Tap, src calibrate.Source) string {
	return fmt.Sprintf("%d samples, diagonal %t: %+v", src.Samples(), t.Diagonal, t.Parts)
}
