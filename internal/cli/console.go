package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// console is standard error: log lines and progress, which must not write over each other.
type console struct {
	w        io.Writer
	terminal bool // a bar can be drawn
	colour   bool
	quiet    bool

	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	stage string
	last  time.Time // of the last progress line
}

// progressEvery is the time between two progress lines where no bar can be drawn.
const progressEvery = 10 * time.Second

func newConsole(w io.Writer) *console {
	c := &console{w: w, last: time.Now()}
	if f, ok := w.(*os.File); ok {
		c.terminal = term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	}
	c.colour = c.terminal && os.Getenv("NO_COLOR") == ""
	return c
}

// paint colours a word on a terminal.
func (c *console) paint(code, word string) string {
	if !c.colour {
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}

// line writes a log line.
func (c *console) line(format string, args ...any) {
	c.endProgress()
	fmt.Fprintf(c.w, "onnx-zip: "+format+"\n", args...)
}

// fail writes an error with its way out.
func (c *console) fail(err error, e *fault.Error) {
	text := err.Error()
	if e.Kind == fault.Internal {
		text = "internal error: " + text
		if e.Hint == "" {
			e.Hint = "this is a bug in onnx-zip; please report it with the command line and the lines above"
		}
	}
	c.line("%s %s", c.paint("1;31", "error:"), indent(text))
	if e.Hint != "" {
		fmt.Fprintf(c.w, "  %s %s\n", c.paint("1", "hint:"), indent(e.Hint))
	}
}

// indent sets the lines after the first off.
func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// progress shows how far a stage is: a bar on a terminal, else a line every ten seconds.
func (c *console) progress(stage string, done, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.quiet:
	case c.terminal:
		c.draw(stage, done, total)
	case time.Since(c.last) >= progressEvery:
		c.last = time.Now()
		fmt.Fprintf(c.w, "onnx-zip: %s: %d of %d\n", stage, done, total)
	}
}

func (c *console) draw(stage string, done, total int) {
	if c.bar == nil || c.stage != stage {
		if c.bar != nil {
			c.bar.Clear()
		}
		c.stage = stage
		c.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(c.w), progressbar.OptionSetWidth(30),
			progressbar.OptionSetDescription(fmt.Sprintf("%-10s", stage)), progressbar.OptionShowCount(),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionEnableColorCodes(false), progressbar.OptionSetPredictTime(true))
	}
	c.bar.Set(done)
}

// endProgress takes the bar off the screen.
func (c *console) endProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		c.bar.Clear()
		c.bar = nil
	}
}

// printf writes a piece of the result for people.
func (a *app) printf(format string, args ...any) {
	if !a.json {
		a.stderr.endProgress()
		fmt.Fprintf(a.stdout, format, args...)
	}
}

// info logs what is going on, unless --quiet.
func (a *app) info(format string, args ...any) {
	if !a.quiet {
		a.stderr.line(format, args...)
	}
}

// debug logs with --verbose only.
func (a *app) debug(format string, args ...any) {
	if a.verbose {
		a.stderr.line(format, args...)
	}
}

// warn notes a warning in the document and logs it.
func (a *app) warn(w warning) {
	a.doc.Warnings = append(a.doc.Warnings, w)
	where := ""
	if w.File != "" {
		where += w.File + ": "
	}
	if w.Head != "" {
		where += "head " + w.Head + ": "
	}
	a.stderr.line("%s %s%s (%s)", a.stderr.paint("1;33", "warning:"), where, w.Message, w.Code)
}
