package calibrate

import (
	"context"
	"runtime"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Defaults of CaptureOptions and ForwardOptions.
const (
	DefaultBatch       = 32
	DefaultMemoryBytes = 256 << 20
)

// CaptureOptions says how Capture runs. The zero value is useful.
type CaptureOptions struct {
	// Batch is the number of samples in a run, DefaultBatch where 0. The result depends on it, by
	// rounding. A model with a fixed batch axis overrules it.
	Batch int
	// Workers is the number of runs at once, by default one for each CPU. The result does not depend on it.
	Workers int
	// Threads is the number of threads inside a run, by default 1. With more the result may depend on
	// the machine.
	Threads int
	// MemoryBytes bounds what one tap's products take in one run, DefaultMemoryBytes where 0. One O×O
	// product is made in any case.
	MemoryBytes int64
	// Mask names an input [samples, tokens] whose zeros mark positions that count in no moment; "": all do.
	Mask string
	// Extra, where set, takes more out of the same runs.
	Extra *Extra
	// Progress, where set, is called after each batch with the number of samples done. Calls do not overlap.
	Progress func(done, total int)
}

// Extra is what a caller of Capture computes beside the sums, so that the model need not run again for it.
type Extra struct {
	Values []string // that its nodes read
	// Batch is the number of samples in a run that it counts on. Where the model takes another number at a time, Capture leaves
	// it out.
	Batch int
	// Extend appends nodes, inputs and outputs, under names of its own.
	Extend func(g *onnx.Graph)
	// Feed adds the inputs of a batch, Take looks at its outputs; both may be called for several batches at once.
	Feed func(batch int, feeds map[string]*onnx.Tensor)
	Take func(batch int, out map[string]*onnx.Tensor) error
}

// values are those that a graph has to compute for taps and extra.
func (o CaptureOptions) values(taps []Tap) []string {
	values := tappedValues(taps)
	if o.Extra != nil {
		values = append(values, o.Extra.Values...)
	}
	return values
}

func (o CaptureOptions) withDefaults() CaptureOptions {
	o.Batch = orDefault(o.Batch, DefaultBatch)
	o.Workers = orDefault(o.Workers, runtime.GOMAXPROCS(0))
	o.Threads = orDefault(o.Threads, 1)
	o.MemoryBytes = orDefault(o.MemoryBytes, DefaultMemoryBytes)
	return o
}

func orDefault[T int | int64](x, def T) T {
	if x <= 0 {
		return def
	}
	return x
}

// Capture runs m over src and returns the moments of each tap, by name.
//
// The sums are part of the graph that the engine runs: only they leave it, and what no tap needs is not
// computed. Within chunks of about a thousand positions they are float32, shifted by the mean of the first
// samples; from there on float64, added in the order of the batches. Equal inputs, options, library and kind
// of CPU give the same bytes, for any number of Workers, if Threads is 1. Memory does not grow with src.
//
// A model with a fixed batch axis leaves out the last samples where they do not fill a batch; Moments.N
// counts what was measured.
//
// Errors are of kind fault.Data (the samples do not fit the model, or are not finite), fault.Runtime (the
// engine failed, or a tapped value became infinite or NaN), fault.Unsupported (an old opset, a tapped value
// whose shape depends on the data) or fault.Internal (a tap that does not fit the model).
func Capture(ctx context.Context, e Engine, m *onnx.Model, taps []Tap, src Source, o CaptureOptions) (map[string]*Moments, error) {
	if len(taps) == 0 {
		return map[string]*Moments{}, nil
	}
	c, err := newCapture(e, m, taps, src, o.withDefaults())
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	result := make(map[string]*Moments, len(taps))
	for _, s := range c.sums {
		result[s.tap.Name] = s.moments()
	}
	return result, nil
}

// capture is one call of Capture.
type capture struct {
	options CaptureOptions
	engine  Engine
	model   *onnx.Model
	index   *onnx.Index
	taps    []Tap
	feeder  *feeder
	full    *stage
	last    *stage // for the last, smaller batch; nil where there is none
	sums    []*sums
}

// stage runs batches of one size.
type stage struct {
	plans   []tapPlan
	names   []sumNames
	session Session
}

// newCapture checks everything that can be checked without the engine.
func newCapture(e Engine, m *onnx.Model, taps []Tap, src Source, o CaptureOptions) (*capture, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	if err := checkTaps(taps, ix); err != nil {
		return nil, err
	}
	needed, _, err := restrict(m, ix, o.values(taps))
	if err != nil {
		return nil, err
	}
	f, err := newFeeder(src, needed.Graph().GetInput(), o.Batch)
	if err != nil {
		return nil, err
	}
	if f.fixed && f.full() == 0 {
		return nil, fault.New(fault.Data, "too_few_samples", "%d samples, but the model runs %d at a time", src.Samples(), f.batch).
			WithHint("give more samples, or export the model with a free batch axis")
	}
	if o.Extra != nil && f.batch != min(o.Extra.Batch, src.Samples()) {
		o.Extra = nil
	}
	return &capture{options: o, engine: e, model: m, index: ix, taps: taps, feeder: f}, nil
}

// prepare looks at the first samples, plans the sums and opens the sessions.
func (c *capture) prepare(ctx context.Context) error {
	seen, err := peek(ctx, c.engine, c.model, c.index, tappedValues(c.taps), c.feeder)
	if err != nil {
		return err
	}
	if c.full, err = c.open(ctx, seen, c.feeder.batch); err != nil {
		return err
	}
	if rest := c.feeder.rest(); rest > 0 && !c.feeder.fixed {
		if c.last, err = c.open(ctx, seen, rest); err != nil {
			return err
		}
	}
	for i := range c.full.plans {
		c.sums = append(c.sums, newSums(&c.full.plans[i]))
	}
	return nil
}

// open makes the stage for batches of so many samples. It shares the session of c.full where it can.
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
		s.names, s.session = c.full.names, c.full.session
		return s, nil
	}
	g, err := newCaptureGraph(c.model, c.index, s.plans, c.options)
	if err != nil {
		return nil, err
	}
	if c.options.Extra != nil {
		c.options.Extra.Extend(g.model.Graph())
	}
	s.names = g.names
	s.session, err = c.engine.Open(ctx, g.model, SessionOptions{Threads: c.options.Threads})
	return s, err
}

func (c *capture) close() {
	if c.full != nil && c.full.session != nil {
		c.full.session.Close()
	}
	if c.last != nil && c.last.session != nil && c.last.session != c.full.session {
		c.last.session.Close()
	}
}

// run runs all batches and adds up their sums in order.
func (c *capture) run(ctx context.Context) error {
	batches := c.feeder.full()
	if c.last != nil {
		batches++
	}
	work := func(ctx context.Context, i int) (map[string]*onnx.Tensor, error) {
		feeds, err := c.feeder.read(c.feeder.bounds(i))
		if err != nil {
			return nil, err
		}
		counts, err := c.mask(i, feeds)
		if err != nil {
			return nil, err
		}
		extra := c.options.Extra
		if extra != nil {
			extra.Feed(i, feeds)
		}
		out, err := c.stage(i).session.Run(ctx, feeds)
		if err != nil {
			return nil, err
		}
		for name, n := range counts {
			out[name] = n
		}
		if extra != nil {
			err = extra.Take(i, out)
		}
		return out, err
	}
	return inOrder(ctx, batches, c.options.Workers, work, c.add)
}

// mask adds to the feeds what each tap's positions count for, and returns how many count, by the same names.
func (c *capture) mask(i int, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	from, to := c.feeder.bounds(i)
	m, err := ReadMask(c.feeder.src, c.options.Mask, from, to)
	if m == nil || err != nil {
		return nil, err
	}
	counts := map[string]*onnx.Tensor{}
	for t := range c.stage(i).plans {
		p := &c.stage(i).plans[t]
		name, first := c.stage(i).names[t].mask, p.tap.Parts[0]
		if name == "" {
			continue
		}
		dims, axis := p.dims(to-from), first.Axis
		if axis < 0 {
			axis += len(dims)
		}
		keep, behind := m.Positions(dims, axis), 1 // positions behind the features' axis
		for _, d := range dims[axis+1:] {
			behind *= int(d)
		}
		weights, n := make([]float32, p.positions), 0.0
		for k := range weights {
			if keep == nil || keep[k/(behind*int(first.inner()))*behind+k%behind] {
				weights[k] = 1
				n++
			}
		}
		feeds[name] = onnx.FromFloat32(weights, p.maskShape()...)
		counts[name] = onnx.FromFloat64(onnx.Double, []float64{n})
	}
	return counts, nil
}

// stage is the one that runs batch i.
func (c *capture) stage(i int) *stage {
	if i == c.feeder.full() {
		return c.last
	}
	return c.full
}

// add adds the sums of batch i.
func (c *capture) add(i int, out map[string]*onnx.Tensor) error {
	s := c.stage(i)
	for t, acc := range c.sums {
		if err := acc.add(&s.plans[t], s.names[t], out); err != nil {
			return c.blame(i, err)
		}
	}
	if c.options.Progress != nil {
		_, done := c.feeder.bounds(i)
		c.options.Progress(done, c.feeder.src.Samples())
	}
	return nil
}

// blame returns an error about the data of a batch if there is something in it that is not finite: then the
// sums, of which err tells, could not be.
func (c *capture) blame(batch int, err error) error {
	from, to := c.feeder.bounds(batch)
	feeds, readErr := c.feeder.read(from, to)
	if readErr != nil {
		return err
	}
	for _, in := range c.feeder.inputs {
		x, typeErr := feeds[in.GetName()].Float64s()
		if typeErr != nil {
			continue
		}
		if i := slices.IndexFunc(x, func(v float64) bool { return !finite(v) }); i >= 0 {
			return fault.New(fault.Data, "not_finite", "sample %d has an infinite or NaN element", from+i/(len(x)/(to-from))).
				AtValue(in.GetName()).WithHint("check how the data was prepared")
		}
	}
	return err
}
