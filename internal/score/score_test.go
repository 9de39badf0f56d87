//go:build unix

package score_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/score"
)

func program(t *testing.T, command, key string, timeout time.Duration) *score.Program {
	t.Helper()
	p, err := score.New(command, key, score.Max, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a model.onnx")
	if err := os.WriteFile(path, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := program(t, `sh -c 'echo a word >&2; printf "{\"bytes\": %d, \"half\": 0.5}" $(wc -c <"$1")' judge {model}`, "bytes", 0)
	r, err := p.Run(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Value != 5 || r.Numbers["half"] != 0.5 || r.Key != "bytes" || r.Seconds <= 0 || r.Figure() != 5 {
		t.Errorf("%+v", r)
	}
	if low := (score.Result{Goal: score.Min, Value: 3}); low.Figure() != -3 {
		t.Errorf("the figure of a loss of 3 is %g", low.Figure())
	}
}

func TestRunRefuses(t *testing.T) {
	for _, c := range []struct{ script, key, code, message string }{
		{`echo '{"a": 1}'; echo no luck >&2; exit 3`, "", "score_failed", "exit status 3\nno luck"},
		{`echo epoch 1; echo '{"a": 1}'`, "", "score_output", "epoch 1"},
		{`echo '{"a": 1} {"a": 2}'`, "", "score_output", "one JSON object"},
		{`echo '{"a": "much"}'`, "", "score_output", "much"},
		{`echo null`, "", "score_output", "null"},
		{`:`, "", "score_output", `""`},
		{`head -c 2000000 /dev/zero`, "", "score_output", "one JSON object"},
		{`echo '{"a": 1, "b": 2}'`, "", "score_key", "several numbers"},
		{`echo '{"a": 1, "b": 2}'`, "c", "score_key", `no number "c"`},
	} {
		_, err := program(t, `sh -c '`+strings.ReplaceAll(c.script, `'`, `'\''`)+`' x {model}`, c.key, 0).Run(context.Background(), "m.onnx")
		e := fault.As(err)
		if e == nil || e.Code != c.code || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s: %v, want %s with %q", c.script, err, c.code, c.message)
		}
	}
}

// TestEnds: a program that hangs is ended with what it started, also where it ignores the request.
func TestEnds(t *testing.T) {
	for name, script := range map[string]string{"asked": "sleep 60 & echo $! >$0; wait", "killed": `trap "" TERM; sleep 60 & echo $! >$0; wait; sleep 60`} {
		pid := filepath.Join(t.TempDir(), "pid")
		_, err := program(t, `sh -c '`+script+`' {model}`, "", 300*time.Millisecond).Run(context.Background(), pid)
		if e := fault.As(err); e == nil || e.Code != "score_timeout" {
			t.Errorf("%s: %v", name, err)
		}
		gone(t, pid)
	}
	pid := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(300*time.Millisecond, cancel)
	if _, err := program(t, `sh -c 'sleep 60 & echo $! >$0; wait' {model}`, "", 0).Run(ctx, pid); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	gone(t, pid)
	// what a program leaves behind when it ends by itself
	pid = filepath.Join(t.TempDir(), "pid")
	if _, err := program(t, `sh -c 'sleep 60 >/dev/null 2>&1 & echo $! >$0; echo "{\"a\": 1}"' {model}`, "", 0).Run(context.Background(), pid); err != nil {
		t.Error(err)
	}
	gone(t, pid)
}

// gone fails if the process whose number is in the file is still there after a while.
func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || strings.Contains(string(stat), ") Z ") {
			return // an orphan may wait to be reaped
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d still runs", pid)
}

func TestNew(t *testing.T) {
	for _, c := range []struct{ command, goal string }{
		{"", "max"}, {"true", "max"}, {"true '{model}", "max"}, {`true {model}\`, "max"}, {"true {model}", "best"}, {"no-such-program {model}", "max"},
	} {
		if _, err := score.New(c.command, "", c.goal, 0); err == nil || fault.As(err).Kind != fault.Usage || fault.As(err).Code != "bad_score" {
			t.Errorf("%s, %s: %v", c.command, c.goal, err)
		}
	}
	if _, err := score.New("true {model}", "", "max", -time.Second); err == nil {
		t.Error("a negative timeout")
	}
}
