package report

import (
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/transform"
)

// Positions across a chart are percentages, so that it is as wide as the page allows and its text keeps its
// size; positions down it are pixels.

// Bar is a part of a row of a chart.
type Bar struct {
	X, Y, W, H  float64
	Class, Name string // Name is shown on hovering
}

// Tile is a figure that stands out.
type Tile struct{ Figure, What string }

func tiles(p *Page) (out []Tile) {
	if p.Merge == nil {
		return nil
	}
	c := p.Merge.Cost
	out = append(out, Tile{fmt.Sprintf("%.0f %%", 100*c.ParamsRatio), "of the ensemble's parameters"},
		Tile{fmt.Sprintf("%.0f %%", 100*c.FLOPsRatio), "of the ensemble's FLOPs"})
	var drop, agrees *Tile
	for worst, i := math.Inf(1), 0; i < len(p.Heads); i++ {
		if s := p.Heads[i].Accuracy; s != nil && s.Difference != nil && s.Difference.Points < worst {
			worst = s.Difference.Points
			drop = &Tile{minus(fmt.Sprintf("%+.1f points", worst)), "accuracy against its source: head " + p.Heads[i].Name + ", the lowest"}
		}
	}
	for worst, i := math.Inf(1), 0; i < len(p.Heads); i++ {
		if a := p.Heads[i].Agreement; a != nil && a.Value < worst {
			worst = a.Value
			agrees = &Tile{percent(worst), "same top-1 as its source: head " + p.Heads[i].Name + ", the lowest"}
		}
	}
	switch {
	case p.Exact:
		return append(out, Tile{"equal", "to every source, by construction"})
	case drop != nil && agrees != nil:
		return append(out, *drop, *agrees)
	case drop != nil:
		return append(out, *drop)
	case agrees != nil:
		return append(out, *agrees)
	}
	return out
}

// CostRow is a model's bar.
type CostRow struct {
	Name, Text, Class string
	Width             float64
}

// costBars are the bars of one of the two costs, to the same scale.
func costBars(sizes []Size, what string) (rows []CostRow) {
	of := func(s Size) int64 {
		if what == "FLOPs" {
			return s.FLOPs
		}
		return s.Params
	}
	top := int64(1)
	for _, s := range sizes {
		top = max(top, of(s))
	}
	for _, s := range sizes {
		rows = append(rows, CostRow{s.Name, Count(of(s)), s.Kind, round(100 * float64(of(s)) / float64(top))})
	}
	return rows
}

// Whisker is a rate with its interval on the axis of a chart.
type Whisker struct {
	Low, Value, High, Y float64
	Class, Name         string
}

// Intervals is a chart of rates.
type Intervals struct {
	From, To float64
	Ticks    []Tick
	Rows     []IntervalRow
}

// IntervalRow is a head's.
type IntervalRow struct {
	Name     string
	Whiskers []Whisker
}

// Tick is a mark on an axis.
type Tick struct {
	At    float64
	Label string
}

// intervals draws the accuracies. The axis begins below the lowest interval, at a round figure: differences of a
// point would be invisible on one from 0.
func intervals(p *Page) *Intervals {
	low, rows := 100.0, []*Score{}
	names := []string{}
	for _, h := range p.Heads {
		if h.Accuracy != nil {
			rows, names = append(rows, h.Accuracy), append(names, h.Name)
		}
	}
	if p.Joint != nil {
		rows, names = append(rows, p.Joint), append(names, "joint")
	}
	if len(rows) == 0 {
		return nil
	}
	for _, s := range rows {
		low = min(low, 100*s.Merged.Low)
		if s.Source != nil {
			low = min(low, 100*s.Source.Low)
		}
	}
	step := 20.0
	for _, s := range []float64{1, 2, 5, 10} {
		if (100-low)/s <= 5 {
			step = s
			break
		}
	}
	c := &Intervals{From: 100 - step*math.Max(math.Ceil((100-low)/step), 1), To: 100}
	at := func(x float64) float64 { return round(100 * (100*x - c.From) / (c.To - c.From)) }
	for i, s := range rows {
		row := IntervalRow{Name: names[i]}
		if s.Source != nil {
			row.Whiskers = append(row.Whiskers, Whisker{at(s.Source.Low), at(s.Source.Value), at(s.Source.High), 9, "source", "source " + percent(s.Source.Value)})
		}
		row.Whiskers = append(row.Whiskers, Whisker{at(s.Merged.Low), at(s.Merged.Value), at(s.Merged.High), 21, "merged", "merged " + percent(s.Merged.Value)})
		c.Rows = append(c.Rows, row)
	}
	for x := c.From; x <= c.To; x += step {
		c.Ticks = append(c.Ticks, Tick{at(x / 100), fmt.Sprintf("%.0f %%", x)})
	}
	return c
}

// stack is a space's merged features by whom they join.
func stack(s transform.SpaceReport) (bars []Bar) {
	all := float64(s.Across + s.Within + s.Alone)
	x := 0.0
	for _, part := range []struct {
		n    int
		name string
	}{{s.Across, "across"}, {s.Within, "within"}, {s.Alone, "alone"}} {
		if part.n > 0 {
			w := 100 * float64(part.n) / all
			bars = append(bars, Bar{X: round(x), W: round(w), Class: part.name, Name: fmt.Sprintf("%d %s", part.n, part.name)})
			x += w
		}
	}
	return bars
}

// Strip is the networks side by side: what is shared, and what each head keeps to itself.
type Strip struct {
	Shared []Bar
	Lanes  []Lane
	Ends   []Tick
}

// Lane is what one head keeps.
type Lane struct {
	Head string
	Own  int
	Of   int
	Bars []Bar
}

const stripHeight = 64.0

// strip draws nodes in topological order: of the first network all, as high as their share of the FLOPs, of
// every network those that lie outside the trunk.
func strip(networks []Network) *Strip {
	if len(networks) == 0 || len(networks[0].Cells) == 0 {
		return nil
	}
	s := &Strip{}
	top := int64(1)
	for _, c := range networks[0].Cells {
		top = max(top, c.FLOPs)
	}
	step := 100 / float64(len(networks[0].Cells))
	for i, c := range networks[0].Cells {
		x, h := float64(i)*step, max(stripHeight*float64(c.FLOPs)/float64(top), 3)
		b := Bar{X: round(x), Y: round(stripHeight - h), W: round(step * 0.86), H: round(h), Class: "own",
			Name: fmt.Sprintf("%s %s, %s FLOPs, %s parameters", c.Op, c.Name, Count(c.FLOPs), Count(c.Params))}
		if c.Shared {
			b.Class = "shared"
		}
		s.Shared = append(s.Shared, b)
		if c.End > 0 {
			s.Ends = append(s.Ends, Tick{round(x + step/2), fmt.Sprint(c.End)})
		}
	}
	for _, n := range networks {
		s.Lanes = append(s.Lanes, lane(n))
	}
	return s
}

func lane(n Network) Lane {
	l := Lane{Head: n.Head, Of: len(n.Cells)}
	step := 100 / math.Max(float64(len(n.Cells)), 1)
	for i, c := range n.Cells {
		if !c.Shared {
			l.Own++
			l.Bars = append(l.Bars, Bar{X: round(float64(i) * step), W: round(step * 0.86), Name: c.Op + " " + c.Name})
		}
	}
	return l
}

// round keeps the file small; a hundredth of a percent is less than a pixel.
func round(x float64) float64 { return math.Round(100*x) / 100 }
