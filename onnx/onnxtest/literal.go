package onnxtest

import (
	"fmt"
	"slices"
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
	if !modest(dims) {
		return nil, fmt.Errorf("dims %v are too many elements for a test", dims)
	}
	if lx.tok == "{" {
		words, err := lx.words("{", "}")
		if err != nil {
			return nil, err
		}
		return fromWords(dtype, words, dims)
	}
	how := lx.next()
	args, err := lx.words("(", ")")
	if err != nil {
		return nil, err
	}
	if how == "fill" && len(args) == 1 {
		return fromWords(dtype, slices.Repeat(args, count(dims)), dims)
	}
	if how == "random" {
		return parseRandom(args, dtype, dims)
	}
	return nil, fmt.Errorf("%s with %d arguments is no contents", how, len(args))
}

func parseRandom(args []string, dtype onnx.DType, dims []int64) (*onnx.Tensor, error) {
	x := make([]float64, len(args))
	for i, w := range args {
		var err error
		if x[i], err = strconv.ParseFloat(w, 64); err != nil {
			return nil, err
		}
	}
	switch len(x) {
	case 1:
		return Random(int64(x[0]), dtype, dims...), nil
	case 3:
		return RandomBetween(int64(x[0]), x[1], x[2], dtype, dims...), nil
	}
	return nil, fmt.Errorf("random takes a seed, or a seed and two bounds")
}

// modest refuses tensors that a slip of the pen, or a fuzzer, would fill the memory with.
func modest(dims []int64) bool {
	n := int64(1)
	for _, d := range dims {
		if d > 1<<24 || n*d > 1<<24 {
			return false
		}
		n *= d
	}
	return true
}

// count is the number of elements of a tensor.
func count(dims []int64) int { return (&onnx.Tensor{Dims: dims}).Len() }

// fromWords makes a tensor of any type of the numbers' notations.
func fromWords(dtype onnx.DType, words []string, dims []int64) (*onnx.Tensor, error) {
	if len(words) != count(dims) {
		return nil, fmt.Errorf("%d values for dims %v", len(words), dims)
	}
	floats, ints := make([]float64, len(words)), make([]int64, len(words))
	for i, w := range words {
		var err error
		if dtype.IsFloat() {
			floats[i], err = strconv.ParseFloat(w, 64)
		} else {
			ints[i], err = strconv.ParseInt(w, 10, 64)
		}
		if err != nil {
			return nil, err
		}
	}
	if dtype.IsFloat() {
		return onnx.FromFloat64(dtype, floats, dims...), nil
	}
	return fromInts(dtype, ints, dims), nil
}

// fromInts makes a tensor of an integer type, or of bools.
func fromInts(dtype onnx.DType, values []int64, dims []int64) *onnx.Tensor {
	t := onnx.NewTensor(dtype, dims...)
	size := dtype.Size()
	for i, x := range values {
		for b := range size {
			t.Raw[i*size+b] = byte(x >> (8 * b))
		}
	}
	return t
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
