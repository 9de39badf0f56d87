package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
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
	at    string    // how far the stage is that reports, for the lines of one that does not
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
	first, rest, _ := strings.Cut(strings.TrimRight(text, "\n"), "\n")
	c.line("%s %s", c.paint("1;31", "error:"), c.fold(first, len("onnx-zip: error: ")))
	if rest != "" {
		fmt.Fprintf(c.w, "    %s\n", strings.ReplaceAll(rest, "\n", "\n    "))
	}
	if e.Hint != "" {
		first, code, _ := strings.Cut(e.Hint, "\n")
		fmt.Fprintf(c.w, "  %s %s\n", c.paint("1", "hint:"), c.fold(first, len("  hint: ")))
		if code != "" {
			fmt.Fprintln(c.w, strings.TrimRight(code, "\n")) // to be copied: not indented
		}
	}
}

// fold wraps a line for a terminal; before is the width of what stands in front of it.
func (c *console) fold(line string, before int) string {
	if !c.terminal {
		return line
	}
	width, _, err := term.GetSize(int(c.w.(*os.File).Fd()))
	if err != nil || width < 40 {
		return line
	}
	lines := wrap(strings.Repeat("x", before-1)+" "+line, width-4)
	return strings.TrimSpace(strings.Join(lines, "\n    ")[before-1:])
}

// progress shows how far a stage is: a bar on a terminal, else a line every ten seconds.
func (c *console) progress(stage string, done, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at = ""; done < total {
		c.at = fmt.Sprintf(", %s: %d of %d", stage, done, total)
	}
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
	if c.bar.Set(done); done >= total {
		c.bar.Clear()
		c.bar = nil
	}
}

// busy shows that work goes on where no stage says how far it is: the time on a terminal, else a line
// every ten seconds. The function that it returns ends that.
func (c *console) busy(label string) (stop func()) {
	start, done := time.Now(), make(chan struct{})
	tick := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.quiet || c.bar != nil:
		case c.terminal:
			fmt.Fprintf(c.w, "\r%-10s %.0f s \r", label, time.Since(start).Seconds())
		case time.Since(c.last) >= progressEvery:
			c.last = time.Now()
			fmt.Fprintf(c.w, "onnx-zip: %s: %.0f s%s\n", label, time.Since(start).Seconds(), c.at)
		}
	}
	go func() {
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				tick()
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.terminal && !c.quiet {
			fmt.Fprintf(c.w, "\r%30s\r", "")
		}
	})
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

// paragraph writes a long line of the result, wrapped.
func (a *app) paragraph(format string, args ...any) {
	a.printf("%s\n", strings.Join(wrap(fmt.Sprintf(format, args...), helpWidth-2), "\n  "))
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

// warnOnce is warn for what several models of one run would repeat.
func (a *app) warnOnce(w warning) {
	if !slices.Contains(a.doc.Warnings, w) {
		a.warn(w)
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
	text := fmt.Sprintf("%s%s (%s)", where, w.Message, w.Code)
	a.stderr.line("%s %s", a.stderr.paint("1;33", "warning:"), a.stderr.fold(text, len("onnx-zip: warning: ")))
}
