// Package score runs a user's own program on a model file and reads the figure that it prints: whatever metric a task has,
// as long as a program can compute it.
package score

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Placeholder stands for the model file in a command.
const Placeholder = "{model}"

// Goals say which figure is the better one.
const (
	Max = "max"
	Min = "min"
)

// Program is a command that judges a model. It runs without a shell; "{model}" in its words is the file's path.
// Its standard output must be one JSON object of numbers.
type Program struct {
	words   []string
	Command string
	Key     string // the number that counts; "" where there is only one
	Goal    string // Max or Min
	Timeout time.Duration
}

// Result is what a program said of a model.
type Result struct {
	Key     string             `json:"key"`
	Goal    string             `json:"goal"`
	Value   float64            `json:"value"`
	Numbers map[string]float64 `json:"numbers"` // all that it printed
	Seconds float64            `json:"seconds"`
}

// Figure is the value, negative where a lower one is better: the higher the better.
func (r Result) Figure() float64 {
	if r.Goal == Min {
		return -r.Value
	}
	return r.Value
}

// New checks a command line. Errors are of kind fault.Usage.
func New(command, key, goal string, timeout time.Duration) (*Program, error) {
	words, err := split(command)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, Placeholder) }) {
		return nil, fault.New(fault.Usage, "bad_score", "--score %s: %s, the model's file, is missing", command, Placeholder).
			WithHint("write it like --score 'python3 judge.py %s'", Placeholder)
	}
	if goal != Max && goal != Min {
		return nil, fault.New(fault.Usage, "bad_score", "there is no --score-goal %q", goal).WithHint("choose max or min")
	}
	if timeout < 0 {
		return nil, fault.New(fault.Usage, "bad_score", "--score-timeout %v cannot be negative", timeout)
	}
	if _, err := exec.LookPath(words[0]); err != nil && !strings.Contains(words[0], Placeholder) {
		return nil, fault.Wrap(fault.Usage, "bad_score", err, "the program of --score cannot be run")
	}
	return &Program{words: words, Command: command, Key: key, Goal: goal, Timeout: timeout}, nil
}

// split breaks a command into words at blanks, as a shell does: quotes of both kinds and backslashes keep blanks.
func split(command string) (words []string, err error) {
	var word strings.Builder
	begun, quote, escaped := false, rune(0), false
	for _, r := range command {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case strings.ContainsRune(" \t\r\n", r):
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	if quote != 0 || escaped || len(words) == 0 {
		return nil, fault.New(fault.Usage, "bad_score", "--score %s is no command", command).WithHint("check its quotes")
	}
	return words, nil
}

// grace is how long a program that has to end may take to tidy up.
const grace = 3 * time.Second

// Run judges a model file. A cancelled ctx or the timeout ends the program and all that it started. Errors: fault.Runtime
// with the codes score_failed (it ended with an error), score_timeout and score_output (it printed something else), and
// fault.Usage where the key is missing or has to be named.
func (p *Program) Run(ctx context.Context, model string) (*Result, error) {
	start := time.Now()
	limited, cancel := ctx, context.CancelFunc(func() {})
	if p.Timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, p.Timeout)
	}
	defer cancel()
	var words []string
	for _, w := range p.words {
		words = append(words, strings.ReplaceAll(w, Placeholder, model))
	}
	stdout, stderr := &limit{max: 1 << 20}, &tail{max: 2000}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = grace
	err := run(limited, cmd)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, p.fault("score_timeout", stderr, "it took longer than %v", p.Timeout).WithHint("give it more with --score-timeout")
	case err != nil:
		return nil, p.fault("score_failed", stderr, "%v", err)
	}
	r, err := p.read(stdout, stderr)
	if err == nil {
		r.Seconds = time.Since(start).Seconds()
	}
	return r, err
}

// fault words what went wrong, with the end of what the program wrote to its standard error.
func (p *Program) fault(code string, stderr *tail, format string, args ...any) *fault.Error {
	e := fault.New(fault.Runtime, code, "the program of --score, %s: %s", p.words[0], fmt.Sprintf(format, args...))
	if text := strings.TrimSpace(stderr.String()); text != "" {
		e.Message += "\n" + text
	}
	return e
}

// read finds the figure in what the program printed.
func (p *Program) read(stdout *limit, stderr *tail) (*Result, error) {
	var numbers map[string]float64
	dec := json.NewDecoder(bytes.NewReader(stdout.Bytes()))
	if err := dec.Decode(&numbers); err != nil || dec.More() || numbers == nil || stdout.more {
		return nil, p.fault("score_output", stderr, "its standard output is not one JSON object of numbers: %s", shorten(stdout.String())).
			WithHint("it should print something like {\"map\": 0.412}, and whatever else it has to say to standard error")
	}
	keys := slices.Sorted(maps.Keys(numbers))
	key := p.Key
	if key == "" && len(keys) == 1 {
		key = keys[0]
	}
	value, ok := numbers[key]
	if !ok {
		e := fault.New(fault.Usage, "score_key", "the program of --score prints no number %q", key)
		if key == "" {
			e.Message = "the program of --score prints several numbers"
		}
		return nil, e.WithHint("name the one that counts with --score-key; there are: %s", strings.Join(keys, ", "))
	}
	return &Result{Key: key, Goal: p.Goal, Value: value, Numbers: numbers}, nil
}

func shorten(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return fmt.Sprintf("%q", text)
}

// run starts a command in a process group of its own and waits for it. When ctx ends, the group is asked to end, and
// is killed where it does not; nothing of the group outlives the call.
func run(ctx context.Context, cmd *exec.Cmd) error {
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	defer killGroup(cmd)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	endGroup(cmd)
	select {
	case <-done:
	case <-time.After(grace):
		killGroup(cmd)
		<-done
	}
	return context.Cause(ctx)
}

// limit keeps the beginning of what is written.
type limit struct {
	bytes.Buffer
	max  int
	more bool
}

func (l *limit) Write(b []byte) (int, error) {
	room := max(0, l.max-l.Len())
	if len(b) > room {
		l.more = true
		l.Buffer.Write(b[:room])
		return len(b), nil
	}
	return l.Buffer.Write(b)
}

// tail keeps the end of what is written.
type tail struct {
	text []byte
	max  int
}

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if len(t.text) > t.max {
		t.text = append([]byte(nil), t.text[len(t.text)-t.max:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.text), "\ufffd") }

// Number writes a figure for people: six digits, whole numbers from a hundred thousand on in full.
func Number(x float64) string {
	if a := math.Abs(x); a >= 1e5 && a < 1e15 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.6g", x)
}
