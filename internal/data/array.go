package data

import (
	"io"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// array is one array of a file. Its elements are fetched when they are asked for.
type array struct {
	name string // "" for the only array of an .npy file
	file string
	header
	// open returns the array's file (header and elements) and does the work of inflating or verifying
	// it once. It may be called from several goroutines.
	open func() (io.ReaderAt, error)
}

// at puts the place into an error, an *fault.Error or another cause.
func (a *array) at(err error) error {
	if _, ok := err.(*fault.Error); !ok {
		err = fault.Wrap(fault.Data, "not_readable", err, "the array cannot be read")
	}
	return fault.As(err).InFile(a.file).AtValue(a.name)
}

// check refuses what no use of the array could bear; size is the length of the array's file in bytes.
func (a *array) check(size int64) error {
	want, have := a.bytes(), size-a.offset
	switch {
	case len(a.shape) == 0:
		return a.at(bad("no_samples", "the array is a scalar: its first axis must count samples").
			WithHint("leave the array out of the file"))
	case have < want:
		e := truncated()
		e.Message = "the array is cut short: its shape " + tuple(a.shape) + " needs more bytes than the file has"
		return a.at(e)
	case have > want:
		return a.at(bad("bad_npy", "%d bytes follow the array of shape %s", have-want, tuple(a.shape)).
			WithHint("save one array per file, or all of them with np.savez"))
	case want == 0:
		return a.at(bad("no_samples", "the array is empty: its shape is %s", tuple(a.shape)))
	}
	return nil
}

// rows returns the samples [from, to): row-major, little-endian, of the array's own type.
func (a *array) rows(from, to int) (*onnx.Tensor, error) {
	r, err := a.open()
	if err != nil {
		return nil, a.at(err)
	}
	t := onnx.NewTensor(a.dtype, append([]int64{int64(to - from)}, a.shape[1:]...)...)
	size := int64(a.dtype.Size())
	if a.fortran {
		err = a.gather(r, int64(from), t)
	} else {
		err = readAt(r, t.Raw, a.offset+int64(from)*a.perSample()*size)
	}
	if err != nil {
		return nil, a.at(err)
	}
	if a.bigEndian && size > 1 {
		for e := range slices.Chunk(t.Raw, int(size)) {
			slices.Reverse(e)
		}
	}
	if a.dtype == onnx.Bool {
		for i, b := range t.Raw { // any other byte than 0 and 1 is undefined behaviour in an engine
			t.Raw[i] = min(b, 1)
		}
	}
	return t, nil
}

func readAt(r io.ReaderAt, p []byte, offset int64) error {
	if n, err := r.ReadAt(p, offset); n < len(p) {
		if err == io.EOF {
			return truncated()
		}
		return err
	}
	return nil
}

// gather fills t from an array in Fortran order. There the element [i, j, k, …] of shape (N, J, K, …)
// lies at i + N·(j + J·(k + …)), so each position within the sample is one run over the samples.
func (a *array) gather(r io.ReaderAt, from int64, t *onnx.Tensor) error {
	size, n, count := int64(a.dtype.Size()), a.samples(), t.Dims[0]
	perSample := a.perSample()
	run := make([]byte, count*size)
	index := make([]int64, len(a.shape)) // of the position within the sample; index[0] stays 0
	for p := range perSample {
		place := int64(0)
		for axis := len(a.shape) - 1; axis > 0; axis-- {
			place = place*a.shape[axis] + index[axis]
		}
		if err := readAt(r, run, a.offset+(place*n+from)*size); err != nil {
			return err
		}
		for i := range count {
			copy(t.Raw[(i*perSample+p)*size:], run[i*size:(i+1)*size])
		}
		for axis := len(a.shape) - 1; axis > 0; axis-- { // the next position, last axis fastest
			if index[axis]++; index[axis] < a.shape[axis] {
				break
			}
			index[axis] = 0
		}
	}
	return nil
}
