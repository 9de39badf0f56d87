package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/sweep"
)

// SweepPage is what a sweep came to.
type SweepPage struct {
	Title    string
	Heads    []string
	Shared   string
	Rank     string // sweep.Measures: what the front is of
	Labelled bool   // accuracies, else agreement with the sources
	Complete bool
	Samples  string // what the figures are of, in words
	Rows     []sweep.Row
	Warnings []Warning
	Command  []string
	Files    []File
	Versions []Pair
}

var (
	//go:embed sweep.html
	sweepHTML string

	sweepTemplate = template.Must(template.New("sweep").Funcs(functions).Funcs(template.FuncMap{
		"plots": plots, "failures": sweep.Failures, "hasJoint": hasJoint, "taskOf": taskOf, "agreementOf": agreementOf, "kindWords": kindWords,
		"ratio": func(x float64) string { return fmt.Sprintf("%.3f", x) }, "budget": budgetWords,
	}).Parse(sweepHTML))
)

// HTML is the page, one file that needs no other.
func (p *SweepPage) HTML() ([]byte, error) {
	var b bytes.Buffer
	if err := sweepTemplate.Execute(&b, struct {
		*SweepPage
		CSS template.CSS
	}{p, template.CSS(pageCSS)}); err != nil {
		return nil, err
	}
	return []byte(clean(b.String())), nil
}

// Plot is a picture of a figure against FLOPs. Positions across are percentages, positions down are pixels.
type Plot struct {
	Title   string
	Marked  bool // the front is of this figure
	Height  float64
	Across  []Tick // FLOPs relative to the ensemble
	Down    []Tick
	Points  []Point
	Singles []Point // sources alone: of their own task only
	Steps   []Step  // the front
	Methods []Key
}

// Point is one model.
type Point struct {
	X, Y        float64
	Low, High   float64 // ends of the interval; equal to Y where there is none
	Class, Name string
	Front       bool
}

// Step is a piece of the front: on to the right, then up to the next.
type Step struct{ X1, Y1, X2, Y2 float64 }

// Key explains a colour.
type Key struct{ Class, Name string }

const plotHeight = 340.0

// plots draws the figure that the front is of, and the joint accuracy where there is one.
func plots(p *SweepPage) (out []*Plot) {
	for _, measure := range []string{p.Rank, "joint"} {
		if len(out) == 1 && measure == p.Rank {
			continue
		}
		if plot := plotOf(p, measure); plot != nil {
			out = append(out, plot)
		}
	}
	return out
}

func plotOf(p *SweepPage, measure string) *Plot {
	rows := slices.Clone(p.Rows)
	sweep.MarkFront(rows, measure)
	pl := &Plot{Title: sweep.MeasureWords(measure), Marked: measure == p.Rank, Height: plotHeight}
	low, high, right := math.Inf(1), math.Inf(-1), 1.0
	for _, r := range rows {
		if f, ok := r.Figure(measure); ok {
			low, high, right = min(low, f), max(high, f), max(right, r.FLOPsRatio)
		}
	}
	if math.IsInf(low, 1) {
		return nil
	}
	singles := measure == "tasks"
	for _, r := range rows {
		if singles && r.Kind == sweep.KindSource && len(r.Tasks) > 0 {
			low, high = min(low, r.Tasks[0].Accuracy.Value), max(high, r.Tasks[0].Accuracy.Value)
		}
	}
	s := scaleOf(low, high, right)
	pl.Across, pl.Down = s.across(), s.down()
	for _, r := range rows {
		if singles && r.Kind == sweep.KindSource && len(r.Tasks) > 0 {
			pl.Singles = append(pl.Singles, Point{X: s.x(r.FLOPsRatio), Y: s.y(r.Tasks[0].Accuracy.Value), Class: "source",
				Name: fmt.Sprintf("%s, its own task only: %s", r.Name, percent(r.Tasks[0].Accuracy.Value))})
		}
		f, ok := r.Figure(measure)
		if !ok {
			continue
		}
		pl.Points = append(pl.Points, Point{X: s.x(r.FLOPsRatio), Y: s.y(f), Class: pl.class(r), Front: r.Front,
			Name: fmt.Sprintf("%s: %s at %.3f of the ensemble's FLOPs", r.Name, percent(f), r.FLOPsRatio)})
	}
	pl.steps()
	return pl
}

// steps draws the front from the cheapest of its models to the best.
func (pl *Plot) steps() {
	var front []Point
	for _, pt := range pl.Points {
		if pt.Front {
			front = append(front, pt)
		}
	}
	slices.SortFunc(front, func(a, b Point) int { return int(math.Copysign(1, a.X-b.X)) })
	for i := 1; i < len(front); i++ {
		a, b := front[i-1], front[i]
		pl.Steps = append(pl.Steps, Step{a.X, a.Y, b.X, a.Y}, Step{b.X, a.Y, b.X, b.Y})
	}
}

// class is a method's colour; methods are numbered as they come.
func (pl *Plot) class(r sweep.Row) string {
	name := r.Method
	if r.Kind == sweep.KindControl {
		name += " (control)"
	}
	k := slices.IndexFunc(pl.Methods, func(k Key) bool { return k.Name == name })
	if k < 0 {
		class := fmt.Sprintf("m%d", len(pl.Methods)%10)
		if r.Kind == sweep.KindEnsemble {
			class = "m-ensemble"
		}
		k, pl.Methods = len(pl.Methods), append(pl.Methods, Key{class, name})
	}
	return pl.Methods[k].Class
}

// scale places figures on a plot.
type scale struct{ low, high, step, right float64 }

// scaleOf chooses round ends. Figures far below the others (a merge that collapsed) would press the others together:
// the axis shows them all the same.
func scaleOf(low, high, right float64) scale {
	span := max(high-low, 0.005)
	step := 0.2
	for _, s := range []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1} {
		if span/s <= 7 {
			step = s
			break
		}
	}
	return scale{math.Floor(low/step-1e-9) * step, math.Ceil(high/step+1e-9) * step, step, math.Ceil(right*5+0.25) / 5}
}

func (s scale) x(flops float64) float64 { return round(100 * flops / s.right) }
func (s scale) y(figure float64) float64 {
	return round(plotHeight * (s.high - figure) / (s.high - s.low))
}

func (s scale) across() (out []Tick) {
	for k := 0; float64(k)*0.2 <= s.right+1e-9; k++ {
		out = append(out, Tick{s.x(float64(k) * 0.2), fmt.Sprintf("%.1f", float64(k)*0.2)})
	}
	return out
}

func (s scale) down() (out []Tick) {
	for k := 0; s.low+float64(k)*s.step <= s.high+1e-9; k++ {
		v := s.low + float64(k)*s.step
		out = append(out, Tick{s.y(v), fmt.Sprintf("%g %%", math.Round(1e4*v)/100)})
	}
	return out
}

func hasJoint(rows []sweep.Row) bool {
	return slices.ContainsFunc(rows, func(r sweep.Row) bool { return r.Joint != nil })
}

func taskOf(r sweep.Row, head string) *sweep.Task {
	for i := range r.Tasks {
		if r.Tasks[i].Head == head {
			return &r.Tasks[i]
		}
	}
	return nil
}

func agreementOf(r sweep.Row, head string) *sweep.Agreement {
	for _, a := range r.Agreements() {
		if a.Head == head {
			return &a
		}
	}
	return nil
}

func kindWords(r sweep.Row) string {
	switch r.Kind {
	case sweep.KindSource:
		return r.Name
	case sweep.KindControl:
		return r.Method + " (control)"
	}
	return r.Method
}

func budgetWords(r sweep.Row) string {
	switch {
	case r.Budget > 0:
		return fmt.Sprintf("%g×", r.Budget)
	case r.Kind == sweep.KindSource || r.Kind == sweep.KindEnsemble:
		return ""
	}
	return "own width"
}
