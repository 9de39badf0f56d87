package cli

import (
	"fmt"
	"io"

	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/spf13/pflag"
)

// dataFlags say how data files are read.
type dataFlags struct {
	labelArray string
	scale      float64
	mean, std  []float64
	samples    int
}

func (f *dataFlags) define(s *pflag.FlagSet) {
	s.StringVar(&f.labelArray, "label-array", "label", "`NAME`: of the labels in --test files (default: label)")
	f.defineScaling(s)
}

// defineScaling are the flags of data that has to be normalised.
func (f *dataFlags) defineScaling(s *pflag.FlagSet) {
	s.Float64Var(&f.scale, "scale", 0, "`X`: multiply inputs by it first, as 0.00392157 for pixels")
	s.Float64SliceVar(&f.mean, "mean", nil, "`X,…`: then subtract it; one number, or one for each channel")
	s.Float64SliceVar(&f.std, "std", nil, "`X,…`: then divide by it; one number, or one for each channel")
}

func (f *dataFlags) options() data.Options {
	return data.Options{LabelArray: f.labelArray, Scale: f.scale, Mean: f.mean, Std: f.std}
}

// datasets opens files for one model's inputs and closes them all at the end.
type datasets struct {
	a      *app
	flags  dataFlags
	inputs []data.InputSpec
	open   []io.Closer
}

func (d *datasets) Close() {
	for _, c := range d.open {
		c.Close()
	}
}

// bind opens a file and checks every value of it against the model's inputs.
func (d *datasets) bind(file string) (*data.Bound, error) {
	set, err := data.Open(file, d.flags.options())
	if err != nil {
		return nil, err
	}
	d.open = append(d.open, set)
	b, err := set.Bind(d.inputs)
	if err != nil {
		return nil, err
	}
	for _, w := range b.Warnings {
		message := w.Message
		if w.Array != "" {
			message = fmt.Sprintf("array %q: %s", w.Array, message)
		}
		d.a.warn(warning{Code: w.Code, Message: message, File: w.File})
	}
	return b, nil
}

// calibration joins unlabelled files and chooses the samples asked for.
func (d *datasets) calibration(files []headed, seed uint64) (data.Source, error) {
	var sources []data.Source
	for _, f := range files {
		b, err := d.bind(f.Rest)
		if err != nil {
			return nil, err
		}
		sources = append(sources, b)
	}
	src, err := data.Concat(sources...)
	if err != nil {
		return nil, err
	}
	if n := d.flags.samples; n > 0 && n < src.Samples() {
		return data.Sample(src, n, seed)
	}
	if len(sources) == 1 {
		return sources[0], nil
	}
	return src, nil
}

// testSet is labelled data: of one task, with its own numbering, or of all.
type testSet struct {
	head   string // "" for all
	file   string
	src    data.Source
	labels []int64
}

func (d *datasets) tests(files []headed) ([]testSet, error) {
	var sets []testSet
	for _, f := range files {
		b, err := d.bind(f.Rest)
		if err != nil {
			return nil, err
		}
		labels, err := b.Labels()
		if err != nil {
			return nil, err
		}
		sets = append(sets, testSet{f.Head, f.Rest, b, labels})
	}
	return sets, nil
}

// noData is the refusal where data is needed and none was given: with a recipe for this model.
func noData(inputs []data.InputSpec, why string) error {
	return fault.New(fault.Data, "no_data", "calibration data is needed %s", why).
		WithHint("give some hundred unlabelled inputs with --data; to make a file of them in Python:\n%s\nwithout any data, --data-free matches by weights alone and loses more", data.Recipe(inputs))
}
