package report

import (
	"fmt"
	"html/template"
	"math"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/transform"
)

// functions are what page.html can call.
var functions = template.FuncMap{
	"percent": percent, "rate": rate, "value": func(r eval.Rate) string { return oneDecimal(100*r.Value) + " %" },
	"pair":   func(r eval.Rate) string { return fmt.Sprintf("%.1f,\u00a0%.1f", 100*r.Low, 100*r.High) },
	"points": points, "count": Count, "exact": exact, "sci": sci, "fixed": fixed, "seconds": seconds, "shell": shell,
	"base": filepath.Base, "words": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
	"tiles": tiles, "shown": shown, "costBars": costBars, "costKinds": func() []string { return []string{"parameters", "FLOPs"} }, "intervals": intervals,
	"strip": strip, "stack": stack, "refitChart": refitChart, "controls": controls, "kept": kept, "fitsKept": fitsKept, "repairsKept": repairsKept,
	"worst": worst, "heldOut": heldOut, "refitWay": refitWay, "total": total, "errors": refitErrors, "dim": dim, "first": first,
}

// percent writes a share, without claiming all of it where some is left.
func percent(x float64) string {
	text := oneDecimal(100 * x)
	switch {
	case text == "100" && x < 1:
		return "> 99.9 %"
	case text == "0" && x > 0:
		return "< 0.1 %"
	}
	return text + " %"
}

func oneDecimal(x float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") }

// rate is the interval of a rate and its number of samples: "[94.4, 96.9], n = 1000".
func rate(r eval.Rate) string {
	return fmt.Sprintf("[%.1f,\u00a0%.1f], n\u00a0=\u00a0%d", 100*r.Low, 100*r.High, r.N)
}

// points is "−1.2 [−2.0, −0.4]".
func points(d eval.Diff) string {
	return minus(fmt.Sprintf("%+.1f [%+.1f,\u00a0%+.1f]", d.Points, d.Low, d.High))
}

// minus sets negative numbers as print does.
func minus(text string) string { return strings.ReplaceAll(text, "-", "−") }

// Count is a number for people: 812, 270.9 k, 1.24 M.
func Count(n int64) string {
	x := float64(n)
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= u.size {
			return fmt.Sprintf("%.3g %s", x/u.size, u.name)
		}
	}
	return fmt.Sprint(n)
}

// exact is a whole number in groups of three digits.
func exact(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// sci is like "1.4·10⁻⁷".
func sci(x float64) string {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return strings.ReplaceAll(fmt.Sprint(x), "+Inf", "∞")
	}
	mantissa, exponent, _ := strings.Cut(fmt.Sprintf("%.1e", x), "e")
	var b strings.Builder
	for _, r := range strings.TrimLeft(exponent[1:], "0") {
		b.WriteString(string([]rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[r-'0']))
	}
	switch {
	case b.Len() == 0:
		return mantissa
	case exponent[0] == '-':
		return mantissa + "·10⁻" + b.String()
	}
	return mantissa + "·10" + b.String()
}

// fixed writes an error with three decimals, or as a power where that would be nothing.
func fixed(x float64) string {
	if x != 0 && math.Abs(x) < 0.0005 {
		return sci(x)
	}
	return fmt.Sprintf("%.3f", x)
}

func seconds(x float64) string {
	if x < 0.01 {
		return "< 0.01"
	}
	return fmt.Sprintf("%.2f", x)
}

func total(stages []Stage) (sum float64) {
	for _, s := range stages {
		sum += s.Seconds
	}
	return sum
}

// dim is a space's number of features; -1 where the model leaves it open.
func dim(n int) string {
	if n < 0 {
		return "open"
	}
	return fmt.Sprint(n)
}

// Dims is a number of features: one for all models or, where they differ, those of each.
func Dims(all int, each []int) string {
	if each == nil {
		return dim(all)
	}
	var parts []string
	for _, n := range each {
		parts = append(parts, dim(n))
	}
	return strings.Join(parts, ", ")
}

// shell writes a word so that a POSIX shell reads it back as it is.
func shell(word string) string {
	special := strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+", r)
	})
	if special || word == "" {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// Shown says which columns have any figure.
type Shown struct{ Accuracy, Agreement bool }

func shown(p *Page) (s Shown) {
	for _, h := range p.Heads {
		s.Accuracy = s.Accuracy || h.Accuracy != nil
		s.Agreement = s.Agreement || h.Agreement != nil || h.Deviation != nil
	}
	return s
}

// first is the beginning of a list; the page folds the rest away.
func first(n int, list []transform.EndReport) []transform.EndReport { return list[:min(n, len(list))] }

// worst is the check that deviates most.
func worst(checks []transform.Check) (out transform.Check) {
	for i, c := range checks {
		if i == 0 || c.Deviation > out.Deviation {
			out = c
		}
	}
	return out
}

// heldOut is what the merge's judgement says of a head: the mean over its outputs.
func heldOut(j transform.Judgement, head string) *Judged { return judged("", "", j, head) }

// Judged is how well one head imitates its source.
type Judged struct {
	Name, Why string
	Error     float64
	Agreement *float64
	N         int
	Accuracy  *eval.Rate // nil where there is no test data
}

func judged(name, why string, j transform.Judgement, head string) *Judged {
	var own transform.Judgement
	for _, o := range j {
		if o.Head == head {
			own = append(own, o)
		}
	}
	if len(own) == 0 {
		return nil
	}
	out := &Judged{Name: name, Why: why, Error: own.RelativeError(), N: own[0].Samples}
	if a, ok := own.Agreement(); ok {
		out.Agreement = &a
	}
	return out
}

// controls is how the controls do on one head of a page.
func controls(p *Page, head string) (out []*Judged) {
	if p.Merge == nil {
		return nil
	}
	for _, c := range p.Merge.Controls {
		if j := judged(c.Name, c.Why, c.HeldOut, head); j != nil {
			j.Accuracy = p.Controls[c.Name][head]
			out = append(out, j)
		}
	}
	return out
}

// kept says how much of a model is left behind the trunk.
func kept(r transform.NarrowReport) string {
	some, all := r.Features()
	return fmt.Sprintf("%s keeps %d of %d features in %d spaces", r.Head, some, all, len(r.Spaces))
}
