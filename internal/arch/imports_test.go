// Package arch holds the code to its architecture: which package may import which (docs/architecture.md).
package arch

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/onnx-zip/onnx-zip/"
	fault  = "internal/fault" // errors: for everyone that has none of its own reasons not to
)

// rules say what a package of ours may import of ours. "x/..." is x and all below it. The first rule that fits
// a package counts, and every package needs one.
var rules = []struct {
	pkg     string
	imports []string
}{
	{"internal/fault", nil},
	{"transform/match", nil}, // pure mathematics: usable without anything else of this project
	{"internal/ortlib", []string{fault}},
	{"onnx/...", []string{fault, "onnx/..."}},
	{"calibrate/ort/...", []string{fault, "onnx/...", "calibrate", "calibrate/ort", "internal/ortlib"}},
	{"calibrate/gorgonnx", []string{fault, "onnx/...", "calibrate"}},
	{"calibrate", []string{fault, "onnx/..."}}, // never spaces: transform names the axes to tap
	{"internal/data", []string{fault, "onnx/...", "calibrate"}},
	{"eval", []string{fault, "onnx/...", "calibrate"}}, // judges merged files and sources alike
	{"transform/pair", []string{fault, "onnx/..."}},
	{"transform/rewrite", []string{fault, "onnx/..."}},
	{"transform/space", []string{fault, "onnx/...", "transform/pair"}},
	{"transform/attach", []string{fault, "onnx/...", "transform/pair", "transform/space"}},
	{"transform/merge", []string{fault, "onnx/...", "transform/pair", "transform/space", "transform/match", "transform/rewrite"}},
	{"transform/basis", []string{"onnx/...", "transform/space", "transform/match"}},
	{"transform/adopt", []string{fault, "onnx/...", "calibrate"}},
	{"transform/refit", []string{fault, "onnx/...", "calibrate", "transform/merge"}},
	{"transform", []string{fault, "onnx/...", "calibrate", "transform/..."}},
	{"internal/score", []string{fault}},
	{"internal/sweep", []string{fault, "eval", "transform", "internal/score"}}, // compares figures, runs nothing
	{"internal/report", []string{fault, "onnx/...", "calibrate", "eval", "transform/...", "internal/sweep", "internal/score"}},
	{"internal/cli", []string{fault, "onnx/...", "calibrate", "eval", "transform/...", "internal/..."}},
	{"cmd/...", []string{"..."}},
	{"internal/tools/...", []string{"..."}},
}

// outside says which packages may import a module of others. What is not named here is free.
var outside = []struct {
	path string
	pkgs []string
}{
	{"github.com/yalue/onnxruntime_go", []string{"calibrate/ort"}}, // cgo: all else builds without
	{"github.com/owulveryck/onnx-go", []string{"calibrate/gorgonnx"}},
	{"gorgonia.org", []string{"calibrate/gorgonnx"}},
	{"github.com/spf13", []string{"internal/cli", "cmd/..."}},
}

// forTests are packages that only tests and tools may import.
var forTests = []string{"onnx/onnxtest", "calibrate/ort/orttest"}

func TestImportsRunOneWay(t *testing.T) {
	for _, v := range violations(imports(t, "../..")) {
		t.Error(v)
	}
}

func TestViolationsAreFound(t *testing.T) {
	for _, c := range []struct{ pkg, imported, want string }{
		{"calibrate", module + "transform/space", "calibrate may not import transform/space"},
		{"calibrate", module + "calibrate/ort", "calibrate may not import calibrate/ort"},
		{"transform", module + "calibrate/ort", "transform may not import calibrate/ort"},
		{"internal/cli", module + "calibrate/ort", "internal/cli may not import calibrate/ort"},
		{"onnx/shape", module + "calibrate", "onnx/shape may not import calibrate"},
		{"transform/match", module + fault, "transform/match may not import internal/fault"},
		{"transform/match", "github.com/google/go-cmp/cmp", "transform/match may import the standard library and gonum only, not github.com/google/go-cmp/cmp"},
		{"eval", "github.com/yalue/onnxruntime_go", "eval may not import github.com/yalue/onnxruntime_go"},
		{"eval", module + "onnx/onnxtest", "eval may not import onnx/onnxtest, which is for tests"},
		{"surprise", "fmt", "surprise: no rule says what it may import"},
		{"cmd/onnx-zip", module + "calibrate/ort", ""},
		{"transform/match", "gonum.org/v1/gonum/mat", ""},
		{"onnx/cost", module + "onnx/shape", ""},
	} {
		got := strings.Join(violations(map[string][]string{c.pkg: {c.imported}}), "\n")
		if got != c.want {
			t.Errorf("%s imports %s: %q, want %q", c.pkg, c.imported, got, c.want)
		}
	}
}

// imports reads what the files of each package below root import, whatever their build tags; tests do not count.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools" && filepath.Dir(file) == root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			out[pkg] = append(out[pkg], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d packages found below %s", len(out), root)
	}
	return out
}

// violations lists what breaks the rules, sorted.
func violations(imports map[string][]string) []string {
	var out []string
	for pkg, paths := range imports {
		allowed, known := ruleOf(pkg)
		if !known {
			out = append(out, pkg+": no rule says what it may import")
			continue
		}
		for _, p := range paths {
			out = append(out, violation(pkg, p, allowed)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func ruleOf(pkg string) (allowed []string, known bool) {
	for _, r := range rules {
		if covers(r.pkg, pkg) {
			return r.imports, true
		}
	}
	return nil, false
}

func violation(pkg, imported string, allowed []string) []string {
	ours, isOurs := strings.CutPrefix(imported, module)
	switch {
	case !isOurs && pkg == "transform/match" && strings.Contains(imported, ".") && !covers("gonum.org/...", imported):
		return []string{fmt.Sprintf("%s may import the standard library and gonum only, not %s", pkg, imported)}
	case !isOurs:
		for _, o := range outside {
			if covers(o.path+"/...", imported) && !coversAny(o.pkgs, pkg) {
				return []string{pkg + " may not import " + imported}
			}
		}
	case slices.Contains(forTests, ours) && !slices.Contains(forTests, pkg) && !covers("internal/tools/...", pkg):
		return []string{pkg + " may not import " + ours + ", which is for tests"}
	case !coversAny(allowed, ours):
		return []string{pkg + " may not import " + ours}
	}
	return nil
}

func coversAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, name) })
}

// covers reports whether a pattern of rules stands for name.
func covers(pattern, name string) bool {
	base, subtree := strings.CutSuffix(pattern, "...")
	base = path.Clean("/" + base)
	name = "/" + name
	return name == base || subtree && (base == "/" || strings.HasPrefix(name, base+"/"))
}
