package data

import (
	"encoding/binary"
	"math"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// convert turns rows of an array into what an input takes. The findings are the elements that do not fit
// the input's type; their values are then arbitrary.
type convert func(*onnx.Tensor) (*onnx.Tensor, findings, error)

// findings counts elements with a fault and keeps the place of the first.
type findings struct{ count, first int }

func (f *findings) add(i int) { f.join(findings{1, i}, 0) }

// join adds the findings of a later part that starts at an element.
func (f *findings) join(part findings, start int) {
	if f.count == 0 && part.count > 0 {
		f.first = start + part.first
	}
	f.count += part.count
}

// choose sets the conversion from the array's type to the input's, or refuses the pair.
func (c *column) choose(o *Options) error {
	from, to := c.array.dtype, c.input.DType
	switch {
	case from == onnx.Uint16 && to == onnx.BFloat16 && o.BFloat16Bits:
		c.convert = func(t *onnx.Tensor) (*onnx.Tensor, findings, error) {
			return &onnx.Tensor{DType: to, Dims: t.Dims, Raw: t.Raw}, findings{}, nil
		}
	case to.IsFloat() && o.rescales():
		if err := o.checkChannels(c.array.shape); err != nil {
			return c.array.at(err)
		}
		c.convert = func(t *onnx.Tensor) (*onnx.Tensor, findings, error) { return o.rescale(t, to) }
	case from == to:
		c.convert = func(t *onnx.Tensor) (*onnx.Tensor, findings, error) { return t, findings{}, nil }
	case from.IsFloat() && to.IsFloat():
		c.rounds = to.Size() <= from.Size()
		c.convert = func(t *onnx.Tensor) (*onnx.Tensor, findings, error) { return toFloat(t, to) }
	case from.IsInt() && to.IsInt():
		c.convert = func(t *onnx.Tensor) (*onnx.Tensor, findings, error) { return toInt(t, to) }
	default:
		return c.array.at(c.refusal())
	}
	return nil
}

func (c *column) refusal() error {
	from, to := c.array.dtype, c.input.DType
	e := bad("array_type", "the array is %v; the model takes %v, and nothing is rescaled in silence", from, to)
	switch {
	case from == onnx.Uint16 && to == onnx.BFloat16:
		return e.WithHint("save it as float32, which is converted")
	case from == onnx.Uint8 && to.IsFloat():
		return e.WithHint("give --scale 0.00392157 --mean … --std … as in training, or save the data preprocessed as %v", to)
	case from.IsInt() && to.IsFloat():
		return e.WithHint("give --scale, --mean and --std as in training, or save the data preprocessed as %v", to)
	case to.Size() == 0:
		e.Message = "the model takes " + to.String() + ", which data files cannot hold"
		return e
	}
	return e.WithHint("save the array with .astype(np.%v)", to)
}

func toFloat(t *onnx.Tensor, to onnx.DType) (*onnx.Tensor, findings, error) {
	x, err := t.Float64s()
	if err != nil {
		return nil, findings{}, err
	}
	return onnx.FromFloat64(to, x, t.Dims...), findings{}, nil
}

func toInt(t *onnx.Tensor, to onnx.DType) (*onnx.Tensor, findings, error) {
	values, outside := ints(t, to)
	out := onnx.NewTensor(to, t.Dims...)
	size := to.Size()
	for i, v := range values {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(v))
		copy(out.Raw[i*size:(i+1)*size], b[:]) // little-endian two's complement: narrowing keeps the low bytes
	}
	return out, outside, nil
}

// ints reads integers; the findings are those outside the integer type to. uint64 values beyond int64 are
// outside every type.
func ints(t *onnx.Tensor, to onnx.DType) ([]int64, findings) {
	size := t.DType.Size()
	low, high := limits(to)
	signed, _ := limits(t.DType)
	out := make([]int64, t.Len())
	var outside findings
	for i := range out {
		var b [8]byte
		copy(b[:], t.Raw[i*size:(i+1)*size])
		v := int64(binary.LittleEndian.Uint64(b[:]))
		if signed < 0 {
			shift := 64 - 8*size
			v = v << shift >> shift // extends the sign
		}
		beyond := t.DType == onnx.Uint64 && v < 0
		if beyond || v < low || v > high {
			outside.add(i)
		}
		out[i] = v
	}
	return out, outside
}

// limits are the least and the largest value of an integer type, as far as int64 goes.
func limits(t onnx.DType) (low, high int64) {
	bits := 8 * t.Size()
	switch t {
	case onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64:
		return -1 << (bits - 1), 1<<(bits-1) - 1
	case onnx.Uint8, onnx.Uint16, onnx.Uint32:
		return 0, 1<<bits - 1
	}
	return 0, math.MaxInt64
}

// nonFinite finds NaN and infinities: all bits of the exponent are set. Integers have none.
func nonFinite(t *onnx.Tensor) findings {
	var f findings
	little := binary.LittleEndian
	switch t.DType {
	case onnx.Float:
		for i := 0; i < len(t.Raw); i += 4 {
			if little.Uint32(t.Raw[i:])&0x7f800000 == 0x7f800000 {
				f.add(i / 4)
			}
		}
	case onnx.Double:
		for i := 0; i < len(t.Raw); i += 8 {
			if little.Uint64(t.Raw[i:])&0x7ff0000000000000 == 0x7ff0000000000000 {
				f.add(i / 8)
			}
		}
	case onnx.Float16, onnx.BFloat16:
		exponent := uint16(0x7c00)
		if t.DType == onnx.BFloat16 {
			exponent = 0x7f80
		}
		for i := 0; i < len(t.Raw); i += 2 {
			if little.Uint16(t.Raw[i:])&exponent == exponent {
				f.add(i / 2)
			}
		}
	}
	return f
}

// different counts the elements of two floating tensors whose values differ.
func different(a, b *onnx.Tensor) int {
	x, errA := a.Float64s()
	y, errB := b.Float64s()
	if errA != nil || errB != nil || len(x) != len(y) {
		return 0
	}
	n := 0
	for i := range x {
		if x[i] != y[i] {
			n++
		}
	}
	return n
}
