package data

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Options is how a file is read. The zero value is useful: nothing is rescaled.
type Options struct {
	// LabelArray names the array that holds class indices; "" stands for "label". It is never fed.
	LabelArray string
	// Scale, Mean and Std turn the elements x of every array for a floating input into
	// (x·Scale − Mean) / Std. Mean and Std have one value, or one for each index of axis 1.
	// Where all three are unset, nothing is rescaled and integers for a floating input are refused.
	Scale     float64 // 0: unset
	Mean, Std []float64
	// BFloat16Bits takes uint16 arrays as the bits of bfloat16 numbers, a type that NumPy lacks.
	BFloat16Bits bool
}

// Dataset is an open .npy or .npz file. As a calibrate.Source it yields every array but the labels as it
// lies in the file; Bind makes it a source of a model's inputs. It may be read from several goroutines.
type Dataset struct {
	file    string
	options Options
	arrays  []*array // in the file's order, each with the same number of samples, at least 1

	mu      sync.Mutex
	closers []func() error
}

// Open reads the headers of an .npy or .npz file, told apart by their content. Every array must be
// numeric and count the same samples on its first axis.
func Open(path string, o Options) (*Dataset, error) {
	if o.LabelArray == "" {
		o.LabelArray = "label"
	}
	d := &Dataset{file: path, options: o}
	if err := d.openFile(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dataset) openFile() error {
	info, err := os.Stat(d.file) // before opening, which would wait for a writer on a pipe
	if err != nil {
		return d.openError(err)
	}
	if !info.Mode().IsRegular() {
		return bad("not_readable", "this is not a regular file").InFile(d.file).WithHint("give an .npy or .npz file")
	}
	f, err := os.Open(d.file)
	if err != nil {
		return d.openError(err)
	}
	d.atClose(f.Close)
	var magic [6]byte
	n, _ := io.ReadFull(f, magic[:]) // a file that is too short is told by what it begins with
	switch {
	case n >= 2 && string(magic[:2]) == "PK":
		err = d.openNpz(f, info.Size())
	case string(magic[:n]) == npyMagic:
		err = d.openNpy(f, info.Size())
	default:
		err = bad("not_npy", "this is neither an .npy nor an .npz file").InFile(d.file).
			WithHint("save the data with np.save or np.savez")
	}
	if err != nil {
		return err
	}
	return d.sameSamples()
}

func (d *Dataset) openError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("no_file", "no such file").InFile(d.file).WithHint("check the path")
	case errors.Is(err, fs.ErrPermission):
		return bad("not_readable", "permission denied").InFile(d.file)
	}
	return fault.Wrap(fault.Data, "not_readable", err, "cannot be read").InFile(d.file)
}

func (d *Dataset) openNpy(f *os.File, size int64) error {
	a := &array{file: d.file, open: func() (io.ReaderAt, error) { return f, nil }}
	h, err := readHeader(io.NewSectionReader(f, 0, size))
	if err != nil {
		return a.at(err)
	}
	a.header = *h
	d.arrays = []*array{a}
	return a.check(size)
}

func (d *Dataset) sameSamples() error {
	if len(d.arrays) == 0 {
		return bad("no_samples", "the archive holds no array").InFile(d.file).WithHint("save the data with np.savez")
	}
	first := d.arrays[0]
	for _, a := range d.arrays[1:] {
		if a.samples() != first.samples() {
			return a.at(bad("sample_counts", "%d samples, but %q has %d", a.samples(), first.name, first.samples()).
				WithHint("the first axis of every array counts the samples; leave other arrays out of the file"))
		}
	}
	return nil
}

// Close closes the file and removes scratch files. Nothing made of d may be read afterwards.
func (d *Dataset) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []error
	for _, c := range d.closers {
		all = append(all, c())
	}
	d.closers = nil
	return errors.Join(all...)
}

func (d *Dataset) atClose(f func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closers = append(d.closers, f)
}

// File is the path that was opened.
func (d *Dataset) File() string { return d.file }

// Samples is the number of samples in the file, at least 1.
func (d *Dataset) Samples() int { return int(d.arrays[0].samples()) }

// Batch returns the samples [from, to) of every array but the labels, in the array's own type.
func (d *Dataset) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	if err := checkRange(from, to, d.Samples()); err != nil {
		return nil, err
	}
	out := map[string]*onnx.Tensor{}
	for _, a := range d.inputs() {
		t, err := a.rows(from, to)
		if err != nil {
			return nil, err
		}
		out[a.name] = t
	}
	return out, nil
}

func checkRange(from, to, samples int) error {
	if from < 0 || to > samples || from >= to {
		return fault.New(fault.Internal, "batch_range", "samples [%d, %d) asked of %d", from, to, samples)
	}
	return nil
}

func (d *Dataset) array(name string) *array {
	for _, a := range d.arrays {
		if a.name == name {
			return a
		}
	}
	return nil
}

// inputs lists the arrays that may be fed: all but the labels.
func (d *Dataset) inputs() []*array {
	var out []*array
	for _, a := range d.arrays {
		if a.name != d.options.LabelArray {
			out = append(out, a)
		}
	}
	return out
}
