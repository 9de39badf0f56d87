package onnxtest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
)

var types = map[string]onnx.DType{
	"f32": onnx.Float, "f64": onnx.Double, "f16": onnx.Float16, "bf16": onnx.BFloat16, "bool": onnx.Bool,
	"i8": onnx.Int8, "i16": onnx.Int16, "i32": onnx.Int32, "i64": onnx.Int64,
	"u8": onnx.Uint8, "u16": onnx.Uint16, "u32": onnx.Uint32, "u64": onnx.Uint64,
}

func parseType(lx *lexer) (onnx.DType, error) {
	dtype, ok := types[lx.tok]
	if !ok {
		return 0, fmt.Errorf("an element type expected, got %q", lx.tok)
	}
	lx.next()
	return dtype, nil
}

// parseTensor reads a type, dims and contents.
func parseTensor(lx *lexer) (*onnx.Tensor, error) {
	dtype, err := parseType(lx)
	if err != nil {
		return nil, err
	}
	words, err := lx.words("[", "]")
	if err != nil {
		return nil, err
	}
	dims := make([]int64, len(words))
	for i, w := range words {
		if dims[i], err = strconv.ParseInt(w, 10, 64); err != nil || dims[i] < 0 {
			return nil, fmt.Errorf("bad size %q", w)
		}
	}
	if lx.tok == "{" {
		values, err := lx.numbers("{", "}")
		if err != nil {
			return nil, err
		}
		return fromNumbers(dtype, values, dims)
	}
	how := lx.next()
	args, err := lx.numbers("(", ")")
	switch {
	case err != nil:
		return nil, err
	case how == "fill" && len(args) == 1:
		values := make([]float64, onnx.NewTensor(onnx.Bool, dims...).Len())
		for i := range values {
			values[i] = args[0]
		}
		return fromNumbers(dtype, values, dims)
	case how == "random" && len(args) == 1:
		return Random(int64(args[0]), dtype, dims...), nil
	case how == "random" && len(args) == 3:
		return RandomBetween(int64(args[0]), args[1], args[2], dtype, dims...), nil
	}
	return nil, fmt.Errorf("%s with %d arguments is no contents", how, len(args))
}

func (lx *lexer) numbers(open, end string) ([]float64, error) {
	words, err := lx.words(open, end)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(words))
	for i, w := range words {
		if out[i], err = strconv.ParseFloat(w, 64); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fromNumbers makes a tensor of any type. Integers beyond 2^53 lose digits.
func fromNumbers(dtype onnx.DType, values []float64, dims []int64) (*onnx.Tensor, error) {
	t := onnx.NewTensor(dtype, dims...)
	if len(values) != t.Len() {
		return nil, fmt.Errorf("%d values for dims %v", len(values), dims)
	}
	if dtype.IsFloat() {
		return onnx.FromFloat64(dtype, values, dims...), nil
	}
	size := dtype.Size()
	for i, x := range values {
		for b := range size {
			t.Raw[i*size+b] = byte(int64(x) >> (8 * b))
		}
	}
	return t, nil
}

// parseAttr reads name=value.
func parseAttr(lx *lexer) (*onnx.Attribute, error) {
	name, err := lx.name()
	if err != nil {
		return nil, err
	}
	if err := lx.expect("="); err != nil {
		return nil, err
	}
	if _, isType := types[lx.tok]; isType {
		t, err := parseTensor(lx)
		if err != nil {
			return nil, err
		}
		return onnx.TensorAttr(name, t.Proto("")), nil
	}
	if lx.tok != "[" {
		return single(name, lx.next())
	}
	var items []string
	err = lx.list("[", "]", func() error { items = append(items, lx.next()); return nil })
	if err != nil {
		return nil, err
	}
	return several(name, items)
}

func single(name, word string) (*onnx.Attribute, error) {
	if strings.HasPrefix(word, `"`) {
		s, err := strconv.Unquote(word)
		return onnx.StringAttr(name, s), err
	}
	if i, err := strconv.ParseInt(word, 10, 64); err == nil {
		return onnx.Int(name, i), nil
	}
	f, err := strconv.ParseFloat(word, 32)
	return onnx.FloatAttr(name, float32(f)), err
}

// several is a list attribute: of strings or integers where all items are, else of floats.
func several(name string, items []string) (*onnx.Attribute, error) {
	ints := onnx.Ints(name)
	floats := &onnx.Attribute{Name: &name, Type: onnxpb.AttributeProto_FLOATS.Enum()}
	texts := &onnx.Attribute{Name: &name, Type: onnxpb.AttributeProto_STRINGS.Enum()}
	for _, word := range items {
		a, err := single("", word)
		switch {
		case err != nil:
			return nil, err
		case a.S != nil:
			texts.Strings = append(texts.Strings, a.S)
		case a.I != nil:
			ints.Ints = append(ints.Ints, a.GetI())
			floats.Floats = append(floats.Floats, float32(a.GetI()))
		default:
			floats.Floats = append(floats.Floats, a.GetF())
		}
	}
	switch len(items) {
	case len(ints.Ints):
		return ints, nil
	case len(texts.Strings):
		return texts, nil
	case len(floats.Floats):
		return floats, nil
	}
	return nil, fmt.Errorf("a list of strings and numbers")
}
