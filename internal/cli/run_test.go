package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/cli"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

var update = flag.Bool("update", false, "write the golden files anew")

const models = "../../testdata/models/"

// document is what the tests read of the JSON documents.
type document struct {
	OK       bool `json:"ok"`
	ExitCode int  `json:"exit_code"`
	Error    *struct{ Kind, Code, Message, Hint string }
}

func run(ctx context.Context, d cli.Deps, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = cli.Run(ctx, args, strings.NewReader(""), &out, &err, d)
	return code, out.String(), err.String()
}

func decode(t *testing.T, text string) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return d
}

func mergeArgs(out string) []string {
	return []string{"merge", models + "fmnist_mlp_a.onnx", models + "fmnist_mlp_b.onnx", "--data", models + "fmnist_calib.npz", "-o", out, "--json"}
}

// spy is an engine that calls before each run of a model.
type spy struct {
	calibrate.Engine
	before func(run int64)
	runs   *atomic.Int64
}

type spySession struct {
	calibrate.Session
	spy
}

func (s spy) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	session, err := s.Engine.Open(ctx, m, o)
	return spySession{session, s}, err
}

func (s spySession) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	s.before(s.runs.Add(1))
	return s.Session.Run(ctx, feeds)
}

// TestInterrupted: a signal ends a merge at any point with its own code, and nothing is left behind.
func TestInterrupted(t *testing.T) {
	for _, at := range []int64{1, 20, 60, 100} {
		for _, kind := range []fault.Kind{fault.Interrupted, fault.Terminated} {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(context.Background())
			d := realDeps()
			open := d.Open
			d.Open = func(o cli.EngineOptions) (calibrate.Engine, error) {
				e, err := open(o)
				return spy{e, func(run int64) {
					if run == at {
						cancel(fault.New(kind, "signal", "stopped"))
					}
				}, new(atomic.Int64)}, err
			}
			code, stdout, _ := run(ctx, d, mergeArgs(filepath.Join(dir, "out.onnx"))...)
			doc := decode(t, stdout)
			if code != int(kind) || doc.ExitCode != code || doc.OK || doc.Error.Code != "signal" {
				t.Errorf("at run %d: code %d, %+v", at, code, doc)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("at run %d: left behind: %v", at, left)
			}
		}
	}
}

// TestInterruptedSweep: what is finished stays, and the same command makes the rest, with the same figures.
func TestInterruptedSweep(t *testing.T) {
	sweep := func(ctx context.Context, d cli.Deps, dir string) (int, sweepDocument) {
		code, stdout, _ := run(ctx, d, "sweep", models+"fmnist_mlp_a.onnx", models+"fmnist_mlp_b.onnx", "--data", models+"fmnist_calib.npz", "-o", dir,
			"--methods", "zip", "--budgets", "own,0.5x", "--cuts", "full", "--json")
		var doc sweepDocument
		if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
			t.Fatalf("%v in %q", err, stdout)
		}
		return code, doc
	}
	dir := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancelCause(context.Background())
	d := realDeps()
	d.Open = func(o cli.EngineOptions) (calibrate.Engine, error) {
		e, err := realDeps().Open(o)
		return spy{e, func(run int64) {
			if run == 250 { // the statistics and some of seven merges are finished by then
				cancel(fault.New(fault.Interrupted, "interrupted", "stopped"))
			}
		}, new(atomic.Int64)}, err
	}
	code, doc := sweep(ctx, d, dir)
	finished := len(doc.Result.Rows) - 2 // without the sources
	if code != int(fault.Interrupted) || doc.Error.Code != "interrupted" || doc.Result.Complete || finished < 1 || finished > 5 {
		t.Fatalf("code %d, %+v, %d rows", code, doc.Error, finished)
	}
	if !strings.Contains(doc.Error.Message, "of 7 merges are finished") || !strings.Contains(doc.Error.Hint, "goes on") {
		t.Errorf("it says %+v", doc.Error)
	}
	for _, file := range []string{"results.jsonl", "sweep.json", "sweep.html"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	code, again := sweep(context.Background(), realDeps(), dir)
	if code != 0 || !again.Result.Complete || again.Result.Resumed != finished || len(again.Result.Rows) != 9 {
		t.Fatalf("code %d, %+v: %d rows, %d of them resumed, want 9 and %d", code, again.Error, len(again.Result.Rows), again.Result.Resumed, finished)
	}
	code, whole := sweep(context.Background(), realDeps(), filepath.Join(t.TempDir(), "whole"))
	if d := cmp.Diff(whole.Result.Rows, again.Result.Rows); code != 0 || d != "" {
		t.Errorf("code %d; interrupted and whole differ:\n%s", code, d)
	}
}

// sweepDocument is what the tests read of a sweep's document.
type sweepDocument struct {
	document
	Result struct {
		Complete bool
		Resumed  int
		Rows     []struct {
			Key, Name string
			FLOPs     int64
			HeldOut   any `json:"held_out"`
			Failed    any
		}
	}
}

// TestPanic: whatever happens inside, users get a sentence and scripts a document.
func TestPanic(t *testing.T) {
	d := cli.Deps{Open: func(cli.EngineOptions) (calibrate.Engine, error) { panic("oh no") }}
	out := filepath.Join(t.TempDir(), "out.onnx")
	code, stdout, stderr := run(context.Background(), d, mergeArgs(out)...)
	doc := decode(t, stdout)
	if code != 1 || doc.Error.Kind != "internal" || !strings.Contains(stderr, "please report it") || !strings.Contains(stderr, "oh no") {
		t.Errorf("code %d, %+v, %s", code, doc.Error, stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}

// TestHelp holds the help texts against testdata/help; -update writes them anew.
func TestHelp(t *testing.T) {
	for _, command := range []string{"", "merge", "sweep", "inspect", "eval", "compare", "setup", "doctor", "version", "exit-codes"} {
		code, stdout, stderr := run(context.Background(), realDeps(), strings.Fields("help "+command)...)
		if code != 0 || stderr != "" {
			t.Errorf("help %s: code %d, %s", command, code, stderr)
		}
		for i, line := range strings.Split(stdout, "\n") {
			if n := len([]rune(line)); n > 80 {
				t.Errorf("help %s: line %d has %d columns: %s", command, i+1, n, line)
			}
		}
		golden := filepath.Join("testdata/help", strings.TrimSpace("help "+command)+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(stdout), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), stdout); d != "" {
			t.Errorf("help %s (-want +got; `go test ./internal/cli -run Help -update` accepts it):\n%s", command, d)
		}
	}
}
