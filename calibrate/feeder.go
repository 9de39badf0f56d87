package calibrate

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// feeder reads a source in batches that fit a model's inputs.
type feeder struct {
	src    Source
	inputs []*onnx.ValueInfo
	batch  int  // samples in a full batch
	fixed  bool // the model runs full batches only
	// first holds the dims of the first batch read: all samples must have the same.
	first map[string][]int64
}

// newFeeder checks the source against the inputs by reading its first sample. batch is the wish of the
// caller; a model with a fixed batch axis overrules it.
func newFeeder(src Source, inputs []*onnx.ValueInfo, batch int) (*feeder, error) {
	if src.Samples() == 0 {
		return nil, fault.New(fault.Data, "no_samples", "there are no samples")
	}
	f := &feeder{src: src, inputs: inputs, batch: min(batch, src.Samples())}
	for _, in := range inputs {
		if _, dims, ok := onnx.TensorType(in); ok && len(dims) > 0 && dims[0].Size > 0 {
			f.batch, f.fixed = int(dims[0].Size), true
			break
		}
	}
	feeds, err := f.read(0, 1)
	if err != nil {
		return nil, err
	}
	f.first = map[string][]int64{}
	for _, in := range inputs {
		t := feeds[in.GetName()]
		if err := fits(in, t); err != nil {
			return nil, err
		}
		f.first[in.GetName()] = t.Dims
	}
	return f, nil
}

// read returns the feeds of the samples [from, to): those inputs that the model has.
func (f *feeder) read(from, to int) (map[string]*onnx.Tensor, error) {
	all, err := f.src.Batch(from, to)
	if err != nil {
		return nil, err
	}
	feeds := make(map[string]*onnx.Tensor, len(f.inputs))
	for _, in := range f.inputs {
		name := in.GetName()
		t := all[name]
		if t == nil {
			return nil, fault.New(fault.Data, "missing_input", "the data has nothing for this input").AtValue(name).
				WithHint("give an array of that name")
		}
		if len(t.Dims) == 0 || t.Dims[0] != int64(to-from) {
			return nil, fault.New(fault.Data, "sample_count", "dims %v for %d samples: the first axis must count them",
				t.Dims, to-from).AtValue(name)
		}
		if first := f.first[name]; f.first != nil && !slices.Equal(t.Dims[1:], first[1:]) {
			return nil, fault.New(fault.Data, "sample_shape", "samples %d to %d have the shape %v, the first has %v",
				from, to-1, t.Dims[1:], first[1:]).AtValue(name).WithHint("bring all samples to one size")
		}
		feeds[name] = t
	}
	return feeds, nil
}

// fits compares the first sample with what the model declares.
func fits(in *onnx.ValueInfo, t *onnx.Tensor) error {
	dtype, dims, _ := onnx.TensorType(in)
	if dtype != onnx.Undefined && dtype != t.DType {
		return fault.New(fault.Data, "input_type", "the model wants %v, the data is %v", dtype, t.DType).AtValue(in.GetName())
	}
	if dims == nil {
		return nil
	}
	ok := len(dims) == len(t.Dims)
	for i := 1; ok && i < len(dims); i++ {
		ok = dims[i].Size < 0 || dims[i].Size == t.Dims[i]
	}
	if !ok {
		return fault.New(fault.Data, "input_shape", "a sample has the shape %v, the model wants %v",
			t.Dims[1:], sizes(dims[min(1, len(dims)):])).AtValue(in.GetName())
	}
	return nil
}

// padded is read for a model that runs full batches only: the last sample is repeated up to one.
func (f *feeder) padded(from, to int) (map[string]*onnx.Tensor, error) {
	feeds, err := f.read(from, to)
	if err != nil || !f.fixed || to-from == f.batch {
		return feeds, err
	}
	for name, t := range feeds {
		full := &onnx.Tensor{DType: t.DType, Dims: slices.Clone(t.Dims), Raw: slices.Clone(t.Raw)}
		full.Dims[0] = int64(f.batch)
		last := t.Raw[len(t.Raw)-len(t.Raw)/(to-from):]
		for range f.batch - (to - from) {
			full.Raw = append(full.Raw, last...)
		}
		feeds[name] = full
	}
	return feeds, nil
}

// sizes lists the sizes of dims, -1 for free ones.
func sizes(dims []onnx.Dim) []int64 {
	list := make([]int64, len(dims))
	for i, d := range dims {
		list[i] = d.Size
	}
	return list
}

// full is the number of full batches, and rest the number of samples behind them.
func (f *feeder) full() int { return f.src.Samples() / f.batch }
func (f *feeder) rest() int { return f.src.Samples() % f.batch }

// batches is the number of batches, a smaller last one included.
func (f *feeder) batches() int {
	if f.rest() > 0 {
		return f.full() + 1
	}
	return f.full()
}

// bounds are the samples [from, to) of batch i.
func (f *feeder) bounds(i int) (from, to int) {
	return i * f.batch, min((i+1)*f.batch, f.src.Samples())
}
