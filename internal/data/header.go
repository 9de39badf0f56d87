package data

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

const (
	npyMagic  = "\x93NUMPY"
	maxHeader = 1 << 16 // NumPy itself refuses to read headers of more than 10,000 bytes
	maxRank   = 32
)

// header is what an array's file says about it, in its first bytes.
type header struct {
	dtype     onnx.DType
	bigEndian bool
	fortran   bool    // the first axis is the fastest
	shape     []int64 // never negative; the product in bytes fits an int64
	offset    int64   // of the first element, in bytes from the start of the array's file
}

// samples is the length of the first axis; the array is not a scalar.
func (h *header) samples() int64 { return h.shape[0] }

// perSample is the number of elements in one sample.
func (h *header) perSample() int64 {
	n := int64(1)
	for _, d := range h.shape[1:] {
		n *= d
	}
	return n
}

// bytes is the size of all elements.
func (h *header) bytes() int64 {
	n := int64(h.dtype.Size())
	for _, d := range h.shape {
		n *= d
	}
	return n
}

func bad(code, format string, args ...any) *fault.Error {
	return fault.New(fault.Data, code, format, args...)
}

// readHeader reads the header of the .npy format, versions 1 to 3: magic, version, the length of a
// Python dictionary, and the dictionary.
func readHeader(r io.Reader) (*header, error) {
	var start [8]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || string(start[:6]) != npyMagic {
		return nil, bad("not_npy", "this is not an .npy array")
	}
	width := 4 // of the dictionary's length, in bytes
	switch start[6] {
	case 1:
		width = 2
	case 2, 3:
	default:
		return nil, bad("not_npy", "version %d of the .npy format is unknown", start[6])
	}
	var length [4]byte
	if _, err := io.ReadFull(r, length[:width]); err != nil {
		return nil, truncated()
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxHeader {
		return nil, bad("bad_npy", "the header claims %d bytes", n).WithHint("the file is damaged: save it again")
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, truncated()
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return nil, err
	}
	h.offset = int64(8+width) + int64(n)
	return h, nil
}

func truncated() *fault.Error {
	return bad("truncated", "the array is cut short").WithHint("copy or save the file again")
}

func parseHeader(text string) (*header, error) {
	d, err := parseDict(text)
	if err != nil {
		return nil, err
	}
	h := &header{fortran: d.fortran, shape: d.shape}
	if err := h.setType(d.descr); err != nil {
		return nil, err
	}
	n := int64(h.dtype.Size())
	for _, size := range h.shape {
		if size > 0 && n > math.MaxInt64/size {
			return nil, bad("bad_npy", "the shape %s has more elements than any file", tuple(h.shape))
		}
		n *= max(size, 1) // zeros must not hide an overflow: sizes of parts are computed too
	}
	return h, nil
}

// npyTypes maps NumPy's kind and width to element types. NumPy has no bfloat16.
var npyTypes = map[string]onnx.DType{
	"f2": onnx.Float16, "f4": onnx.Float, "f8": onnx.Double, "b1": onnx.Bool,
	"i1": onnx.Int8, "i2": onnx.Int16, "i4": onnx.Int32, "i8": onnx.Int64,
	"u1": onnx.Uint8, "u2": onnx.Uint16, "u4": onnx.Uint32, "u8": onnx.Uint64,
}

// setType reads a NumPy type string: byte order, kind, width ("<f4").
func (h *header) setType(descr string) error {
	if len(descr) < 2 {
		return bad("array_type", "the element type %q is unknown", descr)
	}
	switch descr[1] {
	case 'O':
		return bad("array_type", "the array holds pickled Python objects, which are never loaded").
			WithHint("make it numeric before saving: np.stack(list(x)).astype(np.float32)")
	case 'U', 'S', 'V', 'c', 'm', 'M':
		return bad("array_type", "elements of type %q are not numbers that a model can take", descr).
			WithHint("leave the array out of the file")
	}
	t, known := npyTypes[descr[1:]]
	switch order := descr[0]; {
	case !known, order != '<' && order != '>' && order != '|':
		return bad("array_type", "the element type %q is unknown", descr)
	default:
		h.dtype, h.bigEndian = t, order == '>'
	}
	return nil
}
