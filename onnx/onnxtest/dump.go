package onnxtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
	"google.golang.org/protobuf/proto"
)

// maxShown is how many values of a tensor a dump shows; larger ones appear as a hash of their contents.
const maxShown = 8

// Dump writes a model's main graph in the notation of Parse: lists keep the file's order, attributes are
// sorted. A large tensor is shown as a hash of its contents, #1f0c…, which only a reader understands.
func Dump(m *onnx.Model) string {
	var b strings.Builder
	for _, o := range m.Proto.GetOpsetImport() {
		fmt.Fprintln(&b, strings.Join(strings.Fields("opset "+o.GetDomain()+" "+strconv.FormatInt(o.GetVersion(), 10)), " "))
	}
	g := m.Graph()
	for _, v := range g.GetInput() {
		fmt.Fprintln(&b, "input", DumpValue(v))
	}
	for _, t := range g.GetInitializer() {
		fmt.Fprintln(&b, quote(t.GetName()), "= init", dumpTensor(t))
	}
	for _, n := range g.GetNode() {
		fmt.Fprintln(&b, DumpNode(n))
	}
	for _, v := range g.GetValueInfo() {
		fmt.Fprintln(&b, "value", DumpValue(v))
	}
	for _, v := range g.GetOutput() {
		fmt.Fprintln(&b, "output", DumpValue(v))
	}
	return b.String()
}

// quote writes a name, in quotes where Parse needs them.
func quote(name string) string {
	switch {
	case name == "":
		return "_"
	case name == "_" || strings.ContainsFunc(name, func(r rune) bool { return !isWord(r) }):
		return strconv.Quote(name)
	}
	return name
}

func quoteAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}

// DumpValue writes a declaration as in an input line: its name and type.
func DumpValue(v *onnx.ValueInfo) string {
	name := quote(v.GetName())
	dtype, dims, ok := onnx.TensorType(v)
	switch {
	case !ok && v.GetType() == nil:
		return name
	case !ok:
		return name + " # not a tensor"
	case dims == nil:
		return name + " " + typeName(dtype)
	}
	parts := make([]string, len(dims))
	for i, d := range dims {
		switch {
		case d.Size >= 0:
			parts[i] = strconv.FormatInt(d.Size, 10)
		case d.Param != "":
			parts[i] = quote(d.Param)
		default:
			parts[i] = "?"
		}
	}
	return name + " " + typeName(dtype) + "[" + strings.Join(parts, ",") + "]"
}

func typeName(d onnx.DType) string {
	for name, t := range types {
		if t == d {
			return name
		}
	}
	return d.String()
}

// DumpNode writes one node line.
func DumpNode(n *onnx.Node) string {
	op := n.GetOpType()
	if n.GetDomain() != "" {
		op = n.GetDomain() + "::" + op
	}
	s := quoteAll(n.GetOutput()) + " = " + op + "(" + quoteAll(n.GetInput()) + ")"
	if len(n.GetAttribute()) > 0 {
		attrs := make([]string, len(n.GetAttribute()))
		for i, a := range n.GetAttribute() {
			attrs[i] = a.GetName() + "=" + dumpAttr(a)
		}
		sort.Strings(attrs)
		s += " {" + strings.Join(attrs, ", ") + "}"
	}
	if out := n.GetOutput(); len(out) == 0 || n.GetName() != out[0] {
		s += " @" + quote(n.GetName())
	}
	return s
}

func dumpAttr(a *onnx.Attribute) string {
	switch a.GetType() {
	case onnxpb.AttributeProto_INT:
		return strconv.FormatInt(a.GetI(), 10)
	case onnxpb.AttributeProto_INTS:
		return "[" + join(a.GetInts(), func(i int64) string { return strconv.FormatInt(i, 10) }) + "]"
	case onnxpb.AttributeProto_FLOAT:
		return float(a.GetF())
	case onnxpb.AttributeProto_FLOATS:
		return "[" + join(a.GetFloats(), float) + "]"
	case onnxpb.AttributeProto_STRING:
		return strconv.Quote(string(a.GetS()))
	case onnxpb.AttributeProto_STRINGS:
		return "[" + join(a.GetStrings(), func(s []byte) string { return strconv.Quote(string(s)) }) + "]"
	case onnxpb.AttributeProto_TENSOR:
		return dumpTensor(a.GetT())
	}
	return "<" + a.GetType().String() + " " + hash(a) + ">"
}

func join[T any](list []T, f func(T) string) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return strings.Join(out, ",")
}

// float always has a mark of a float: a point, an exponent, or letters.
func float(f float32) string {
	s := strconv.FormatFloat(float64(f), 'g', -1, 32)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

// dumpTensor writes type, dims and contents.
func dumpTensor(p *onnx.TensorProto) string {
	dims := join(p.GetDims(), func(d int64) string { return strconv.FormatInt(d, 10) })
	head := typeName(onnx.DType(p.GetDataType())) + "[" + dims + "]"
	t, err := onnx.TensorOf(p)
	if err != nil {
		return head + " #" + hash(p)
	}
	if t.Len() > maxShown {
		return head + " #" + hash(&onnx.TensorProto{RawData: t.Raw})
	}
	if ints, err := t.Int64s(); err == nil {
		return head + "{" + join(ints, func(i int64) string { return strconv.FormatInt(i, 10) }) + "}"
	}
	floats, err := t.Float64s()
	if err != nil {
		return head + " #" + hash(p)
	}
	return head + "{" + join(floats, func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }) + "}"
}

// hash is the first digits of a message's SHA-256.
func hash(m proto.Message) string {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "unreadable"
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:4])
}
