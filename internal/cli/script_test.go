package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/gorgonnx"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
	"github.com/onnx-zip/onnx-zip/internal/cli"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"onnx-zip": func() {
			ctx := cli.Signals(context.Background())
			os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, realDeps()))
		},
		"make": func() { check(makeFile(os.Args[1], os.Args[2])) },
	})
}

// realDeps are those of cmd/onnx-zip.
func realDeps() cli.Deps {
	return cli.Deps{
		Open: func(o cli.EngineOptions) (calibrate.Engine, error) { return ort.Open(ort.Options(o)) },
		Doctor: func(ctx context.Context, library string) cli.Runtime {
			return cli.Runtime(ort.Doctor(ctx, ort.Options{Library: library}))
		},
		Second: gorgonnx.Engine{},
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}

// TestScripts runs testdata/script. What the scripts may use:
//
//	exits CODE COMMAND…   the command's exit code is CODE
//	json PATH WANT        the last standard output is one JSON document with WANT at PATH: a.b.0.c; "-" for WANT
//	                      where anything but null will do, "<X" and ">X" for numbers
//	tidy FOLDER           no file of ours is left half-written in it
//	make KIND FILE        (a command) writes a file of makeFile
//
// $MODELS is the folder of the test models.
func TestScripts(t *testing.T) {
	lib, err := ortlib.Locate("")
	if err != nil {
		t.Fatalf("%v\nrun `make setup` to install ONNX Runtime", err)
	}
	models, err := filepath.Abs("../../testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models)
			e.Setenv("ONNXRUNTIME_LIB", lib.Path)
			e.Setenv("ONNX_ZIP_CACHE", filepath.Join(e.WorkDir, ".cache"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonHas, "tidy": tidy},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want || neg {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	ts.Check(dec.Decode(&v))
	if dec.More() {
		ts.Fatalf("standard output holds more than one JSON document")
	}
	for _, key := range strings.Split(args[0], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			i, err := strconv.Atoi(key)
			if key == "len" {
				v = float64(len(x))
				continue
			}
			if err != nil || i >= len(x) {
				ts.Fatalf("%s: no entry %s of %d", args[0], key, len(x))
			}
			v = x[i]
		default:
			v = nil
		}
	}
	if holds(v, args[1]) == neg {
		ts.Fatalf("%s is %v, want %s", args[0], v, args[1])
	}
}

func holds(v any, want string) bool {
	if x, ok := v.(float64); ok && len(want) > 1 && (want[0] == '<' || want[0] == '>') {
		limit, err := strconv.ParseFloat(want[1:], 64)
		return err == nil && (x < limit) == (want[0] == '<')
	}
	return want == "-" && v != nil || fmt.Sprint(v) == want
}

func tidy(ts *testscript.TestScript, _ bool, args []string) {
	left, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), ".onnx-zip-*"))
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left behind: %v", left)
	}
}
