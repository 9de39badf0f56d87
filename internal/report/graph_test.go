package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// residual is a chain of blocks with a shortcut around each.
func residual(blocks int) *Graph {
	g := &Graph{
		Title: "net.onnx", Notes: []string{"shared trunk: 90 % of FLOPs"},
		Nodes: []Node{{Name: "x", Op: "input", Outer: true}},
		Spaces: []Space{
			{ID: 0, Name: "stream", Dim: 16, Mode: "zip"}, {ID: 1, Name: "inner", Dim: 32, Mode: "permute", Why: "it normalises"},
			{ID: 2, Name: "out", Dim: 5, Mode: "pinned", Why: "an output"},
		},
	}
	for b := range blocks {
		from, conv, add := len(g.Nodes)-1, len(g.Nodes), len(g.Nodes)+1
		g.Nodes = append(g.Nodes, Node{Name: fmt.Sprintf("/layer%d/conv1/Conv", b), Op: "Conv", Shared: true}, Node{Name: fmt.Sprintf("/layer%d/Add", b), Op: "Add", Shared: true})
		value := fmt.Sprintf("v%d", from)
		g.Edges = append(g.Edges, Edge{from, conv, value, []int{0}, false}, Edge{from, add, value, []int{0}, false},
			Edge{conv, add, fmt.Sprintf("v%d", conv), []int{1}, false})
	}
	last := len(g.Nodes) - 1
	g.Nodes = append(g.Nodes, Node{Name: "fc", Op: "Gemm", End: "an output"}, Node{Name: "y", Op: "output", Outer: true})
	g.Edges = append(g.Edges, Edge{last, last + 1, fmt.Sprintf("v%d", last), []int{0}, false}, Edge{last + 1, last + 2, "y", []int{2}, false})
	g.Cuts = []Cut{{last, "cut:1, 90.0 % of FLOPs"}}
	return g
}

// elements parses a picture strictly and counts its elements by their class.
func elements(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if x, ok := token.(xml.StartElement); ok {
			count[x.Name.Local]++
			for _, a := range x.Attr {
				if a.Name.Local == "class" {
					count["."+a.Value]++
				}
			}
		}
	}
}

func TestSVG(t *testing.T) {
	svg := residual(3).SVG()
	got := elements(t, svg)
	for what, want := range map[string]int{
		".box": 9, ".tint": 7, ".end": 1, ".edge zip": 4 + 1, ".edge permute": 3 + 1, ".edge pinned": 1 + 2, ".cut": 1, ".flag": 1, "script": 0,
	} { // one more in the legend, of pinned two
		if got[what] != want {
			t.Errorf("%d of %s, want %d", got[what], what, want)
		}
	}
	if string(svg) != string(residual(3).SVG()) {
		t.Error("two pictures of one graph differ")
	}
}

func TestSVGEscapesNames(t *testing.T) {
	const hostile = "\"><script>alert(1)</script>&\x00\x1b\xff]]>"
	g := residual(1)
	g.Title, g.Notes = hostile, []string{hostile}
	for i := range g.Nodes {
		g.Nodes[i].Name, g.Nodes[i].End = hostile, hostile
		if !g.Nodes[i].Outer {
			g.Nodes[i].Op = hostile
		}
	}
	for i := range g.Edges {
		g.Edges[i].Value += hostile
	}
	for i := range g.Spaces {
		g.Spaces[i].Name, g.Spaces[i].Why = hostile, hostile
	}
	g.Cuts[0].Label = hostile
	if n := elements(t, g.SVG())["script"]; n > 0 {
		t.Errorf("%d scripts", n)
	}
}

// Every edge leads down, and nothing on a layer overlaps.
func TestLayout(t *testing.T) {
	g := residual(6)
	l := g.layout()
	for value, links := range l.links {
		for _, k := range links {
			if l.points[k.to].layer != l.points[k.from].layer+1 {
				t.Errorf("%s leads from layer %d to %d", value, l.points[k.from].layer, l.points[k.to].layer)
			}
		}
	}
	for i, layer := range l.layers {
		for k := 1; k < len(layer); k++ {
			a, b := l.points[layer[k-1]], l.points[layer[k]]
			if b.x-b.width/2 < a.x+a.width/2 {
				t.Errorf("layer %d: points %d and %d overlap", i, layer[k-1], layer[k])
			}
		}
	}
	for _, p := range l.points[:len(g.Nodes)] {
		if d := p.x - l.points[0].x; d > 1 || d < -1 {
			t.Errorf("node %d is %.0f pixels off the main line", p.node, d)
		}
	}
}

func TestFoldKeepsTheLastConstant(t *testing.T) {
	g := residual(1)
	for k := range 3 { // mask0 → mask1 → mask2 → Conv
		g.Nodes = append([]Node{{Name: fmt.Sprintf("mask%d", 2-k), Op: "Expand"}}, g.Nodes...)
	}
	for i := range g.Edges {
		g.Edges[i].From, g.Edges[i].To = g.Edges[i].From+3, g.Edges[i].To+3
	}
	g.Cuts[0].Node += 3
	g.Edges = append(g.Edges, Edge{From: 0, To: 1, Value: "m0"}, Edge{From: 1, To: 2, Value: "m1"}, Edge{From: 2, To: 4, Value: "m2"})
	f := g.fold()
	if len(f.Nodes) != len(g.Nodes)-2 || f.Nodes[0].Name != "mask2" || f.Nodes[0].Folded != 2 {
		t.Errorf("%+v", f.Nodes)
	}
	if len(f.Edges) != len(g.Edges)-2 || len(f.Cuts) != 1 || f.Nodes[f.Cuts[0].Node].Op != "Add" {
		t.Errorf("%+v, %+v", f.Edges, f.Cuts)
	}
	if n := elements(t, g.SVG())[".box"]; n != len(f.Nodes) {
		t.Errorf("%d boxes", n)
	}
}

// A large graph stays small enough to open, and is drawn quickly.
func TestLargeGraph(t *testing.T) {
	start := time.Now()
	g := residual(800)
	svg := g.SVG()
	if len(g.Nodes) < 1500 || len(svg) > 5e6 {
		t.Errorf("%d nodes need %d bytes", len(g.Nodes), len(svg))
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	elements(t, svg)
}

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"1.4·10⁻⁷": sci(1.4e-7), "0": sci(0), "2.5·10¹²": sci(2.5e12), "3.0": sci(3), "∞": sci(1 / zero()),
		"> 99.9 %": percent(0.99999), "100 %": percent(1), "< 0.1 %": percent(1e-6), "0 %": percent(0), "12.5 %": percent(0.125),
		"1.08 M": Count(1082442), "812": Count(812), "1\u202f082\u202f442": exact(1082442), "-12": exact(-12),
		"a/b=c.npz": shell("a/b=c.npz"), `'it'\''s $x'`: shell("it's $x"), "''": shell(""), "0.050": fixed(0.05), "1.0·10⁻⁵": fixed(1e-5),
		"…longname": tail("averylongname", 9), "avery…": head("averylongname", 6), "one two|three": strings.Join(wrap("one two three", 8), "|"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func zero() float64 { return 0 }
