package data

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// InputSpec is what a model declares of one of its inputs.
type InputSpec struct {
	Name  string
	DType onnx.DType
	Dims  []onnx.Dim // the first axis counts samples; nil where no shape is declared
}

// Inputs lists the inputs of a model that data must be given for: those that are no initializers.
func Inputs(m *onnx.Model) ([]InputSpec, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	var specs []InputSpec
	for _, v := range ix.Inputs() {
		dtype, dims, ok := onnx.TensorType(v)
		if !ok {
			return nil, fault.New(fault.Unsupported, "input_type", "the input is not a tensor").InFile(m.File).AtValue(v.GetName())
		}
		specs = append(specs, InputSpec{v.GetName(), dtype, dims})
	}
	return specs, nil
}

// Warning is something about the data that a user should know and that does not stop the work.
type Warning struct {
	Code    string // stable snake_case name, part of the JSON contract
	Message string
	File    string
	Array   string
}

// Bound is a Dataset as the feeds of a model: names, types and shapes are the model's. Its values have
// been read once and are finite. It may be read from several goroutines.
type Bound struct {
	// Warnings are of the codes unused_array, partial_batch, values_rounded and scale_unused.
	Warnings []Warning

	dataset *Dataset
	columns []*column
	batch   int // 0: free
	samples int
}

// column is the array that feeds one input.
type column struct {
	array   *array
	input   InputSpec
	convert convert
	rounds  bool // convert may round: a narrower floating type
}

// Bind pairs the arrays with the model's inputs, checks types and shapes, and reads all values once.
//
// Arrays are paired by name. Where the model has one input and the file one array that is not the labels,
// any name will do. Types must be equal, except that
//
//   - a floating type is converted into another; where that rounds a value, the warning values_rounded says so;
//   - integers are converted into another integer type if all are in its range;
//   - any number is converted into a floating type by Options.Scale, Mean and Std;
//   - uint16 passes as bfloat16 with Options.BFloat16Bits.
//
// Shapes must be equal but for the first axis and those that the model leaves open; a symbol must mean
// the same size everywhere. NaN and infinite values are refused.
func (d *Dataset) Bind(inputs []InputSpec) (*Bound, error) {
	if err := d.options.check(); err != nil {
		return nil, err
	}
	if len(inputs) == 0 {
		return nil, bad("no_inputs", "the model has no input to feed").InFile(d.file)
	}
	b := &Bound{dataset: d, samples: d.Samples()}
	if err := b.pair(inputs); err != nil {
		return nil, err
	}
	sizes := symbols{}
	for _, c := range b.columns {
		if err := c.fit(sizes); err != nil {
			return nil, err
		}
		if err := c.choose(&d.options); err != nil {
			return nil, err
		}
	}
	if err := b.setBatch(); err != nil {
		return nil, err
	}
	for _, c := range b.columns {
		rounded, err := c.scan(b.samples)
		if err != nil {
			return nil, err
		}
		if rounded > 0 {
			b.warn("values_rounded", c.array, "%d values of type %v are rounded to the model's %v", rounded, c.array.dtype, c.input.DType)
		}
	}
	return b, nil
}

func (b *Bound) warn(code string, a *array, format string, args ...any) {
	b.Warnings = append(b.Warnings, Warning{code, fmt.Sprintf(format, args...), a.file, a.name})
}

// pair finds the array of each input.
func (b *Bound) pair(inputs []InputSpec) error {
	arrays := b.dataset.inputs()
	byName := map[string]*array{}
	for _, a := range arrays {
		byName[a.name] = a
	}
	for _, in := range inputs {
		a := byName[in.Name]
		if a == nil && len(inputs) == 1 && len(arrays) == 1 {
			a = arrays[0]
		}
		if a == nil {
			return b.unpaired(in, inputs)
		}
		delete(byName, a.name)
		b.columns = append(b.columns, &column{array: a, input: in})
	}
	for _, a := range arrays {
		if byName[a.name] != nil {
			b.warn("unused_array", a, "the model has no input of this name")
		}
	}
	isFloat := func(in InputSpec) bool { return in.DType.IsFloat() }
	if b.dataset.options.rescales() && !slices.ContainsFunc(inputs, isFloat) {
		b.warn("scale_unused", arrays[0], "the model has no floating input to apply scale, mean and std to")
	}
	return nil
}

func (b *Bound) unpaired(in InputSpec, inputs []InputSpec) error {
	var takes, keys []string
	for _, in := range inputs {
		takes = append(takes, in.Name+" "+in.describe())
		keys = append(keys, fmt.Sprintf("%q: …", in.Name))
	}
	return bad("array_names", "no array for the input %q; the file has %s; the model takes %s",
		in.Name, b.dataset.list(), strings.Join(takes, ", ")).InFile(b.dataset.file).
		WithHint("name the arrays as the inputs: np.savez(\"data.npz\", **{%s})", strings.Join(keys, ", "))
}

// setBatch finds the fixed batch that the inputs declare and drops the samples that do not fill one.
func (b *Bound) setBatch() error {
	for _, c := range b.columns {
		size := c.input.batch()
		if b.batch > 0 && size > 0 && size != b.batch {
			return c.array.at(bad("input_batches", "the model takes batches of %d here and of %d at another input", size, b.batch))
		}
		b.batch = max(b.batch, size)
	}
	all := b.samples
	b.samples = whole(all, b.batch)
	switch first := b.columns[0].array; {
	case b.samples == 0:
		return first.at(bad("few_samples", "%d samples do not fill one batch: the model takes exactly %d", all, b.batch).
			WithHint("give more samples"))
	case b.samples < all:
		b.warn("partial_batch", first, "the last %d samples are left out: the model takes exactly %d at once", all-b.samples, b.batch)
	}
	return nil
}

// whole rounds a number of samples down to full batches; batch 0 is free.
func whole(samples, batch int) int {
	if batch > 1 {
		return samples - samples%batch
	}
	return samples
}

// scanBytes is how much of an array is read at once when it is checked.
const scanBytes = 8 << 20

// scan reads the samples [0, samples) and counts the values that the conversion rounds. A value that is
// not finite, or outside the input's type, is an error that counts them all and names the first sample.
func (c *column) scan(samples int) (rounded int, err error) {
	a, perSample := c.array, c.array.perSample()
	step := max(1, int(scanBytes/(perSample*int64(a.dtype.Size()))))
	var outside, infinite findings
	for from := 0; from < samples; from += step {
		in, err := a.rows(from, min(from+step, samples))
		if err != nil {
			return 0, err
		}
		out, f, err := c.convert(in)
		if err != nil {
			return 0, a.at(err)
		}
		outside.join(f, from*int(perSample))
		infinite.join(nonFinite(out), from*int(perSample))
		if c.rounds {
			rounded += different(in, out)
		}
	}
	if outside.count > 0 {
		return 0, a.at(bad("out_of_range", "%d values do not fit the model's %v, the first in sample %d",
			outside.count, c.input.DType, outside.first/int(perSample)))
	}
	if infinite.count > 0 {
		return 0, a.at(bad("not_finite", "%d values are NaN or infinite as %v, the first in sample %d",
			infinite.count, c.input.DType, infinite.first/int(perSample)).
			WithHint("find them with np.argwhere(~np.isfinite(x))"))
	}
	return rounded, nil
}

// Samples is the number of samples: the file's, rounded down to full batches.
func (b *Bound) Samples() int { return b.samples }

// BatchSize is the number of samples that the model takes at once, 0 where it is free.
func (b *Bound) BatchSize() int { return b.batch }

// Origin says that sample i is sample i of the file.
func (b *Bound) Origin(i int) Origin { return Origin{File: b.dataset.file, Sample: i} }

// Labels reads the label of each sample.
func (b *Bound) Labels() ([]int64, error) {
	labels, err := b.dataset.Labels("")
	if err != nil {
		return nil, err
	}
	return labels[:b.samples], nil
}

// Batch returns the samples [from, to) as the model takes them.
func (b *Bound) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	if err := checkRange(from, to, b.samples); err != nil {
		return nil, err
	}
	feeds := map[string]*onnx.Tensor{}
	for _, c := range b.columns {
		t, err := c.array.rows(from, to)
		if err != nil {
			return nil, err
		}
		if feeds[c.input.Name], _, err = c.convert(t); err != nil {
			return nil, c.array.at(err)
		}
	}
	return feeds, nil
}
