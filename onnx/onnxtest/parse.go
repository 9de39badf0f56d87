package onnxtest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Build is Parse for tests: text that does not parse ends the test.
func Build(t testing.TB, text string) *onnx.Model {
	t.Helper()
	m, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Parse makes a model from the notation that the package's comment describes. It does not check the graph.
func Parse(text string) (*onnx.Model, error) {
	p := &onnx.ModelProto{
		IrVersion: proto.Int64(8), ProducerName: proto.String("onnxtest"),
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(17)}},
		Graph:       &onnx.Graph{Name: proto.String("test")},
	}
	for i, line := range strings.Split(text, "\n") {
		lx := newLexer(line)
		if lx.tok == "" {
			continue
		}
		err := parseLine(p, lx)
		if err == nil && lx.tok != "" {
			err = fmt.Errorf("%q at the end", lx.tok)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %s", i+1, err, strings.TrimSpace(line))
		}
	}
	return &onnx.Model{Proto: p}, nil
}

func parseLine(p *onnx.ModelProto, lx *lexer) error {
	first, err := lx.name()
	if err != nil {
		return err
	}
	if lx.tok == "=" || lx.tok == "," {
		return parseDefinition(p.Graph, lx, first)
	}
	switch first {
	case "opset":
		return parseOpset(p, lx)
	case "ir":
		v, err := strconv.ParseInt(lx.next(), 10, 64)
		p.IrVersion = &v
		return err
	case "input":
		return parseValue(&p.Graph.Input, lx)
	case "output":
		return parseValue(&p.Graph.Output, lx)
	case "value":
		return parseValue(&p.Graph.ValueInfo, lx)
	}
	return fmt.Errorf("%q begins no line", first)
}

func parseOpset(p *onnx.ModelProto, lx *lexer) error {
	domain, word := "", lx.next()
	if lx.tok != "" {
		domain, word = word, lx.next()
	}
	version, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return err
	}
	if domain == "" {
		p.OpsetImport[0].Version = &version
		return nil
	}
	p.OpsetImport = append(p.OpsetImport, &onnx.OpsetID{Domain: &domain, Version: &version})
	return nil
}

// parseValue reads a declaration: a name and perhaps a type.
func parseValue(list *[]*onnx.ValueInfo, lx *lexer) error {
	name, err := lx.name()
	if err != nil {
		return err
	}
	if lx.tok == "" {
		*list = append(*list, &onnx.ValueInfo{Name: &name})
		return nil
	}
	dtype, err := parseType(lx)
	if err != nil {
		return err
	}
	var dims []onnx.Dim
	if lx.tok == "[" {
		words, err := lx.words("[", "]")
		if err != nil {
			return err
		}
		dims = make([]onnx.Dim, len(words))
		for i, w := range words {
			dims[i] = parseDim(w)
		}
	}
	*list = append(*list, onnx.NewValueInfo(name, dtype, dims))
	return nil
}

func parseDim(word string) onnx.Dim {
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return onnx.Dim{Size: n}
	}
	if word == "?" {
		word = ""
	}
	return onnx.Dim{Size: -1, Param: word}
}

// parseDefinition reads what stands behind the first name of an initializer or a node.
func parseDefinition(g *onnx.Graph, lx *lexer, first string) error {
	outputs := []string{absent(first)}
	for lx.accept(",") {
		name, err := lx.name()
		if err != nil {
			return err
		}
		outputs = append(outputs, absent(name))
	}
	if err := lx.expect("="); err != nil {
		return err
	}
	op, err := lx.name()
	if err != nil {
		return err
	}
	if op == "init" {
		t, err := parseTensor(lx)
		if err != nil {
			return err
		}
		g.Initializer = append(g.Initializer, t.Proto(first))
		return nil
	}
	n, err := parseNode(lx, op, outputs)
	g.Node = append(g.Node, n)
	return err
}

func absent(name string) string {
	if name == "_" {
		return ""
	}
	return name
}

func parseNode(lx *lexer, op string, outputs []string) (*onnx.Node, error) {
	inputs, err := lx.words("(", ")")
	if err != nil {
		return nil, err
	}
	for i := range inputs {
		inputs[i] = absent(inputs[i])
	}
	n := onnx.NewNode(op, outputs[0], inputs, outputs)
	if domain, name, ok := strings.Cut(op, "::"); ok {
		n.Domain, n.OpType = &domain, &name
	}
	if lx.tok == "{" {
		err = lx.list("{", "}", func() error {
			a, err := parseAttr(lx)
			n.Attribute = append(n.Attribute, a)
			return err
		})
	}
	if err == nil && lx.accept("@") {
		var name string
		name, err = lx.name()
		n.Name = &name
	}
	return n, err
}
