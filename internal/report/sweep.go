package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/score"
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
		"plots": plots, "failures": sweep.Failures, "hasJoint": hasJoint, "hasScore": hasScore, "number": score.Number, "taskOf": taskOf, "agreementOf": agreementOf,
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
	Floor   string // where the axis begins: figures below it are drawn at its foot; "" where there are none
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
	Class, Name string
	Front       bool
	Below       bool // its figure is below the axis
}

// Step is a piece of the front: on to the right, then up to the next.
type Step struct{ X1, Y1, X2, Y2 float64 }

// Key explains a colour.
type Key struct{ Class, Name string }

const plotHeight = 340.0

// plots draws the figure that the front is of, and accuracies where there are any.
func plots(p *SweepPage) (out []*Plot) {
	measures := []string{p.Rank}
	for _, further := range []string{"tasks", "joint"} {
		if further != p.Rank {
			measures = append(measures, further)
		}
	}
	for _, measure := range measures {
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
	singles := measure == "tasks"
	s, below, ok := scaleOf(rows, measure, singles)
	if !ok {
		return nil
	}
	pl.Across, pl.Down = s.across(), s.down()
	if below {
		pl.Floor = s.label(s.low)
	}
	for _, r := range rows {
		if singles && r.Kind == sweep.KindSource && len(r.Tasks) > 0 {
			pl.Singles = append(pl.Singles, Point{X: s.x(r.FLOPsRatio), Y: s.y(r.Tasks[0].Accuracy.Value), Class: "source",
				Name: fmt.Sprintf("%s, its own task only: %s", r.Name, percent(r.Tasks[0].Accuracy.Value))})
		}
		f, ok := r.Figure(measure)
		if !ok {
			continue
		}
		pl.Points = append(pl.Points, Point{X: s.x(r.FLOPsRatio), Y: s.y(max(f, s.low)), Class: pl.class(r), Front: r.Front, Below: f < s.low,
			Name: fmt.Sprintf("%s: %s at %.3f of the ensemble's FLOPs", r.Name, figureText(r, measure, f), r.FLOPsRatio)})
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

// figureText is a figure for people.
func figureText(r sweep.Row, measure string, figure float64) string {
	if measure == "score" {
		return r.Score.Key + " " + score.Number(r.Score.Value)
	}
	return percent(figure)
}

// scale places figures on a plot.
type scale struct {
	low, high, step, right float64
	label                  func(figure float64) string
}

// scaleOf chooses round ends. Merges that collapsed would press all others together: the axis holds the front and four
// fifths of the rows; what lies below is drawn at its foot.
func scaleOf(rows []sweep.Row, measure string, singles bool) (s scale, below, ok bool) {
	var figures []float64
	low, high, right := math.Inf(1), math.Inf(-1), 1.0
	for _, r := range rows {
		f, has := r.Figure(measure)
		if has {
			figures, right = append(figures, f), max(right, r.FLOPsRatio)
		} else if has = singles && r.Kind == sweep.KindSource && len(r.Tasks) > 0; has {
			f = r.Tasks[0].Accuracy.Value
		}
		if has && (r.Front || r.Kind == sweep.KindSource) {
			low = min(low, f)
		}
		if has {
			high = max(high, f)
		}
	}
	if len(figures) == 0 {
		return s, false, false
	}
	slices.Sort(figures)
	low = min(low, figures[len(figures)/5])
	s = scale{right: math.Ceil(right*5+0.25) / 5, label: percentTick}
	span := max(high-low, 0.005)
	if measure == "score" { // of any size; where a lower one is better, the figure is its negative
		span = max(high-low, 1e-6*math.Abs(high), 1e-12)
		s.label = func(figure float64) string { return score.Number(math.Abs(figure)) }
		if low < 0 && high > 0 {
			s.label = score.Number
		}
	}
	s.step = roundStep(span / 7)
	s.low, s.high = math.Floor(low/s.step-1e-9)*s.step, math.Ceil(high/s.step+1e-9)*s.step
	return s, figures[0] < s.low, true
}

// roundStep is the least of …, 0.1, 0.2, 0.5, 1, 2, … that is not below x.
func roundStep(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, k := range []float64{1, 2, 5} {
		if k*unit >= x*(1-1e-9) {
			return k * unit
		}
	}
	return 10 * unit
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
	for k := range int(math.Round((s.high-s.low)/s.step)) + 1 {
		v := s.low + float64(k)*s.step
		out = append(out, Tick{s.y(v), s.label(v)})
	}
	return out
}

func percentTick(v float64) string { return fmt.Sprintf("%g %%", math.Round(1e4*v)/100) }

func hasJoint(rows []sweep.Row) bool {
	return slices.ContainsFunc(rows, func(r sweep.Row) bool { return r.Joint != nil })
}

func hasScore(rows []sweep.Row) bool {
	return slices.ContainsFunc(rows, func(r sweep.Row) bool { return r.Score != nil })
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

func budgetWords(r sweep.Row) string {
	switch {
	case r.Budget > 0:
		return fmt.Sprintf("%g×", r.Budget)
	case r.Kind == sweep.KindSource || r.Kind == sweep.KindEnsemble:
		return ""
	}
	return "own width"
}
