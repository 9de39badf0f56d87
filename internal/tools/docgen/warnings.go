package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// warnings is the page of warnings: all that the code of the module below root can give.
func warnings(root string) (string, error) {
	found := map[string][]string{} // code → its messages
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && strings.HasPrefix(d.Name(), "."), d.IsDir() && d.Name() == "tools":
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if code, message := warning(n); code != "" && !slices.Contains(found[code], message) {
				found[code] = append(found[code], message)
			}
			return true
		})
		return nil
	})
	if err != nil {
		return "", err
	}
	return warningsPage(found), nil
}

func warningsPage(found map[string][]string) string {
	var b strings.Builder
	b.WriteString("# Warnings\n\n" +
		"A warning is a line on stderr and an element of `warnings` under `--json`. Codes are stable; `--strict` makes\n" +
		"warnings fail, `--allow CODE` exempts one. An … stands for what differs from case to case.\n\n" +
		"| code | message |\n|---|---|\n")
	var codes []string
	for code := range found {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		slices.Sort(found[code])
		fmt.Fprintf(&b, "| `%s` | %s |\n", code, strings.ReplaceAll(strings.Join(found[code], "; or: "), "|", `\|`))
	}
	b.WriteString("\nMade by `make generate` from the code; do not edit.\n")
	return b.String()
}

// warning reads the two forms in which warnings are made: a literal of a type called Warning, and a call of a
// method called warn. code is "" for all else.
func warning(n ast.Node) (code, message string) {
	var parts []ast.Expr
	switch n := n.(type) {
	case *ast.CompositeLit:
		if !strings.EqualFold(typeName(n.Type), "warning") {
			return "", ""
		}
		parts = fields(n)
	case *ast.CallExpr:
		if method, ok := n.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "warn" {
			parts = n.Args
		}
	}
	if len(parts) < 2 {
		return "", ""
	}
	code, ok := literal(parts[0])
	if !ok {
		return "", ""
	}
	for _, p := range parts[1:] {
		if text, ok := literal(p); ok {
			return code, text
		}
	}
	return code, "…"
}

func typeName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.SelectorExpr:
		return t.Sel.Name
	}
	return ""
}

// fields are the code and the message of a literal.
func fields(n *ast.CompositeLit) []ast.Expr {
	named := map[string]ast.Expr{}
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok {
				named[key.Name] = kv.Value
			}
		}
	}
	if named["Code"] == nil || named["Message"] == nil {
		return n.Elts
	}
	return []ast.Expr{named["Code"], named["Message"]}
}

var verb = regexp.MustCompile(`%[-+#0-9.]*[a-z%]`)

// readable puts … for what a format fills in.
func readable(format string) string {
	return verb.ReplaceAllStringFunc(format, func(v string) string {
		if v == "%%" {
			return "%"
		}
		return "…"
	})
}

// literal is the text of a string, of a format, or of a sum that begins with one.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return readable(text), err == nil
	case *ast.CallExpr:
		if typeName(e.Fun) == "Sprintf" {
			return literal(e.Args[0])
		}
	case *ast.BinaryExpr:
		text, ok := literal(e.X)
		return text + "…", ok
	}
	return "", false
}
