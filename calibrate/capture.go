package calibrate

import (
	"context"
	"maps"
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
	// MemoryBytes bounds what the products of taps and the values that these read take in one run, DefaultMemoryBytes where
	// 0: where all together take more, the model runs piece by piece. One tap is measured in any case.
	MemoryBytes int64
	// Scratch is where the moments are kept, in memory where nil.
	Scratch *Scratch
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
	// Extend appends nodes, inputs and outputs, under names of its own, for some of the values: those that a piece of the
	// model computes. The nodes of one value need no other's. It may be called for several pieces at once.
	Extend func(g *onnx.Graph, values []string)
	// Feed adds the inputs of a batch, Take looks at the outputs of a piece; both may be called for several batches at once.
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
// whose shape depends on the data), fault.Output (Scratch has no room) or fault.Internal (a tap that does not fit
// the model).
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

// newCapture checks everything that can be checked without the engine.
func newCapture(e Engine, m *onnx.Model, taps []Tap, src Source, o CaptureOptions) (*capture, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	if err := checkTaps(taps, ix); err != nil {
		return nil, err
	}
	needed, _, err := restrict(m, ix, o.values(taps), nil)
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
	c := &capture{options: o, engine: e, model: m, index: ix, feeder: f}
	for _, t := range taps {
		c.taps = append(c.taps, t.divided())
	}
	return c, nil
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
		s, err := newSums(&c.full.plans[i], c.options.Scratch)
		if err != nil {
			return err
		}
		c.sums = append(c.sums, s)
	}
	return nil
}

func (c *capture) close() {
	if c.full != nil {
		c.full.close()
	}
	if c.last != nil {
		c.last.close()
	}
}

// run runs all batches and adds up their sums in order.
func (c *capture) run(ctx context.Context) error {
	batches := c.feeder.full()
	if c.last != nil {
		batches++
	}
	order := newTurns(batches, len(c.full.segments))
	work := func(ctx context.Context, i int) (struct{}, error) { return struct{}{}, c.batch(ctx, i, order) }
	return InOrder(ctx, batches, c.options.Workers, c.options.Workers, work, func(i int, _ struct{}) error {
		if c.options.Progress != nil {
			_, done := c.feeder.bounds(i)
			c.options.Progress(done, c.feeder.src.Samples())
		}
		return nil
	})
}

// batch runs batch i, segment by segment, and adds the sums of each where it is its turn.
func (c *capture) batch(ctx context.Context, i int, order turns) error {
	stage := c.stage(i)
	from, to := c.feeder.bounds(i)
	values, err := c.feeder.read(from, to) // what the segments read: inputs, and values of those before
	if err != nil {
		return err
	}
	mask, err := ReadMask(c.feeder.src, c.options.Mask, from, to)
	if err != nil {
		return err
	}
	extra := map[string]*onnx.Tensor{} // feeds
	if c.options.Extra != nil {
		c.options.Extra.Feed(i, extra)
	}
	for k, seg := range stage.segments {
		feeds := seg.feeds(values)
		if err := c.openSegment(ctx, seg, stage.plans, feeds); err != nil {
			return err
		}
		counts := seg.mask(mask, stage.plans, to-from, feeds)
		for _, name := range seg.asks {
			feeds[name] = extra[name]
		}
		out, err := seg.session.Run(ctx, feeds)
		if err != nil {
			return err
		}
		maps.Copy(out, counts)
		if len(seg.extra) > 0 {
			if err := c.options.Extra.Take(i, out); err != nil {
				return err
			}
		}
		seg.handOver(values, out)
		if err := order.take(ctx, i, k, func() error { return c.add(i, seg, out) }); err != nil {
			return err
		}
	}
	return nil
}

// stage is the one that runs batch i.
func (c *capture) stage(i int) *stage {
	if i == c.feeder.full() {
		return c.last
	}
	return c.full
}

// add adds the sums of a segment of batch i.
func (c *capture) add(i int, seg *segment, out map[string]*onnx.Tensor) error {
	for k, t := range seg.taps {
		if err := c.sums[t].add(&c.stage(i).plans[t], seg.names[k], out); err != nil {
			return c.blame(i, err)
		}
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
