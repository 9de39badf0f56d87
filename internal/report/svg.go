package report

import (
	"encoding/xml"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

const svgStyle = `
.back{fill:#fff}.tint{fill:#e8f0fd}.box{fill:#fff;stroke:#7b8698;stroke-width:1.2}.in .box{stroke:#2c6bd6}.outer .box{fill:#eef1f5}
.end .box{stroke:#c0392b;stroke-width:2}.edge{fill:none;stroke-width:2.4}.permute{stroke-dasharray:7 4}.apart{stroke-dasharray:2 3}.pinned{stroke:#9aa3b1}
.aligned{stroke:#1b2330;stroke-width:1}.outside{stroke:#c3cad5;stroke-width:1.2}.cut{stroke:#c0392b;stroke-width:1.6;stroke-dasharray:3 3}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;fill:#1b2330;font-size:12px}
.op{font-weight:650}.soft{fill:#5a6577;font-size:10.5px}.title{font-size:18px;font-weight:650}.id{font-size:10px;font-weight:650}
.flag{fill:#c0392b;font-size:11px;font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:4px}
@media (prefers-color-scheme:dark){.back{fill:#10151c}.tint{fill:#1b2942}.box{fill:#181e27;stroke:#8a94a6}.in .box{stroke:#6ba1ff}.outer .box{fill:#2a3240}
.end .box,.cut{stroke:#ff8a7d}.aligned{stroke:#e6eaf1}.outside{stroke:#4a5566}text{fill:#e6eaf1}.soft{fill:#9aa6b8}.flag{fill:#ff8a7d;stroke:#10151c}}
`

const (
	margin   = 24.0
	legendW  = 400.0
	legendH  = 34.0 // of one entry
	flagRoom = 130.0
)

// drawing is one SVG file in the making.
type drawing struct {
	strings.Builder
	g    *Graph
	l    *layout
	size size
	left float64 // of the graph
	top  float64
}

// SVG draws the graph from top to bottom. Edges have the colour of the space that their features belong to:
// solid where it is zip, dashed where permute, dotted where models keep their own, grey where pinned, thin and black where the axis holds no features.
func (g *Graph) SVG() []byte {
	g = g.fold()
	d := &drawing{g: g, l: g.layout(), size: g.size(), left: margin + legendW + 30, top: margin + 10}
	width := 0.0
	for _, p := range d.l.points {
		width = max(width, p.x+p.width/2)
	}
	height := max(d.top+float64(len(d.l.layers))*d.size.pitch, d.legendHeight()) + margin
	width += d.left + margin + flagRoom
	d.f(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">`, width, height, width, height)
	d.f("<title>%s</title><style>%s</style>", xmlText(g.Title), svgStyle)
	d.f(`<rect class="back" width="100%%" height="100%%"/>` + "\n")
	d.tints()
	d.edges()
	d.nodes()
	d.cuts()
	d.legend()
	d.f("</svg>\n")
	return []byte(d.String())
}

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// xmlText makes any text safe inside XML.
func xmlText(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(clean(text))); err != nil {
		return "" // a strings.Builder does not fail
	}
	return b.String()
}

// at is the middle of a point.
func (d *drawing) at(p int) (x, y float64) {
	return d.left + d.l.points[p].x, d.top + float64(d.l.points[p].layer)*d.size.pitch + d.size.boxH/2
}

// tints lay a ground under the nodes of the trunk; neighbours' grounds touch.
func (d *drawing) tints() {
	h := d.size.pitch + 1
	for i, n := range d.g.Nodes {
		if n.Shared {
			x, y := d.at(i)
			d.f(`<rect class="tint" x="%.1f" y="%.1f" width="%.0f" height="%.0f"/>`+"\n", x-d.size.boxW/2-12, y-h/2, d.size.boxW+24, h)
		}
	}
}

// edges draws each value's way to all its readers as one path, side by side where it holds several spaces.
func (d *drawing) edges() {
	kind := map[string]Edge{}
	for _, e := range d.g.Edges {
		kind[e.Value] = e
	}
	for _, value := range slices.Sorted(maps.Keys(d.l.links)) {
		e := kind[value]
		d.f("<g><title>%s</title>", xmlText(value+d.describe(e)))
		if len(e.Spaces) == 0 {
			class := "aligned"
			if e.Outside {
				class = "outside"
			}
			d.f(`<path class="edge %s" d="%s"/>`, class, d.path(value, 0))
		}
		shown := e.Spaces[:min(len(e.Spaces), 5)]
		for k, s := range shown {
			d.f(`<path class="edge %s" stroke="%s" d="%s"/>`, d.class(s), d.colour(s), d.path(value, 2.6*(float64(k)-float64(len(shown)-1)/2)))
		}
		d.f("</g>\n")
	}
}

// describe names an edge's spaces, for hovering.
func (d *drawing) describe(e Edge) string {
	var parts []string
	for _, s := range e.Spaces {
		sp := d.g.Spaces[s]
		parts = append(parts, fmt.Sprintf("space %d (%s, %s)", sp.ID, sp.Mode, Dims(sp.Dim, sp.Dims)))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// path leads through the pieces of a value's edges, shifted sideways.
func (d *drawing) path(value string, shift float64) string {
	var b strings.Builder
	half := d.size.boxH / 2
	for _, k := range d.l.links[value] {
		x1, y1 := d.at(k.from)
		x2, y2 := d.at(k.to)
		x1, x2, y1, y2 = x1+shift, x2+shift, y1+half, y2-half
		if d.l.points[k.from].node < 0 { // through the layer of the point itself
			fmt.Fprintf(&b, "M%.1f %.1fV%.1f", x1, y1-2*half, y1)
		} else {
			fmt.Fprintf(&b, "M%.1f %.1f", x1, y1)
		}
		if math.Abs(x1-x2) < 0.05 {
			fmt.Fprintf(&b, "V%.1f", y2)
			continue
		}
		middle := (y1 + y2) / 2
		fmt.Fprintf(&b, "C%.1f %.1f %.1f %.1f %.1f %.1f", x1, middle, x2, middle, x2, y2)
	}
	return b.String()
}

// class is how an edge of a space is drawn, but for its colour.
func (d *drawing) class(s int) string {
	sp := d.g.Spaces[s]
	if sp.Aligned {
		return "aligned"
	}
	return sp.Mode
}

// colour of a space: hues are spread by the golden angle, so that neighbours differ most; lightness alternates, so
// that hues which come close later still differ. Pinned spaces take theirs from the style.
func (d *drawing) colour(s int) string {
	if sp := d.g.Spaces[s]; sp.Aligned || sp.Mode == "pinned" {
		return "none"
	}
	hue, light := math.Mod(210+137.508*float64(s), 360), []float64{0.46, 0.58, 0.40}[s/8%3]
	if hue > 220 && hue < 290 { // blue is darker than other hues of its lightness: keep it visible on a dark ground
		light += 0.14
	}
	return hsl(hue, 0.72, light)
}

// hsl is a colour in hexadecimal; SVG readers other than browsers know no hsl().
func hsl(hue, saturation, lightness float64) string {
	a := saturation * min(lightness, 1-lightness)
	channel := func(n float64) int {
		k := math.Mod(n+hue/30, 12)
		return int(math.Round(255 * (lightness - a*max(-1, min(k-3, 9-k, 1)))))
	}
	return fmt.Sprintf("#%02x%02x%02x", channel(0), channel(8), channel(4))
}

func (d *drawing) legendHeight() float64 {
	lines := 0
	for _, note := range d.g.Notes {
		lines += len(wrap(note, 74))
	}
	return d.top + 150 + 15*float64(lines) + legendH*float64(len(d.g.Spaces)+1)
}
