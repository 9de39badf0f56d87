package report

import "fmt"

// nodes draws boxes with the operator, the end of the name, and the spaces of what comes out.
func (d *drawing) nodes() {
	makes := d.made()
	s := d.size
	for i, n := range d.g.Nodes {
		x, y := d.at(i)
		class := ""
		switch {
		case n.End != "":
			class = "end"
		case n.Outer:
			class = "outer"
		case n.Shared:
			class = "in"
		}
		about, name := n.Op+" "+n.Name, tail(n.Name, 22)
		if n.Folded > 0 {
			about += fmt.Sprintf("\na constant, with %d nodes before it that are not drawn", n.Folded)
			name = fmt.Sprintf("constant, + %d nodes", n.Folded)
		}
		if n.End != "" {
			about += "\nthe trunk ends here: " + n.End
		}
		d.f(`<g class="%s"><title>%s</title><rect class="box" x="%.1f" y="%.1f" width="%.0f" height="%.0f" rx="5"/>`,
			class, xmlText(about), x-s.boxW/2, y-s.boxH/2, s.boxW, s.boxH)
		base := y + 4
		if s.boxH > 30 {
			base = y - 3
			d.f(`<text class="soft" x="%.1f" y="%.1f">%s</text>`, x-s.boxW/2+8, y+12, xmlText(name))
		}
		d.f(`<text class="op" x="%.1f" y="%.1f">%s</text>`, x-s.boxW/2+8, base, xmlText(head(n.Op, int((s.boxW-24)/7.4))))
		d.ids(makes[i], x+s.boxW/2-6, base)
		d.f("</g>\n")
	}
}

// made lists the spaces of what each node makes, without repetition.
func (d *drawing) made() map[int][]int {
	out := map[int][]int{}
	seen := map[[2]int]bool{}
	for _, e := range d.g.Edges {
		for _, s := range e.Spaces {
			if key := [2]int{e.From, s}; !seen[key] && !d.g.Spaces[s].Aligned {
				seen[key] = true
				out[e.From] = append(out[e.From], s)
			}
		}
	}
	return out
}

// ids writes spaces' numbers in their colours, for those who cannot tell the colours apart.
func (d *drawing) ids(spaces []int, x, y float64) {
	if len(spaces) > 2 {
		d.f(`<text class="soft" text-anchor="end" x="%.1f" y="%.1f">%d spaces</text>`, x, y, len(spaces))
		return
	}
	for k := len(spaces) - 1; k >= 0; k-- {
		text := fmt.Sprint(d.g.Spaces[spaces[k]].ID)
		fill := d.colour(spaces[k])
		if fill == "none" {
			fill = "#9aa3b1"
		}
		d.f(`<text class="id" style="fill:%s" text-anchor="end" x="%.1f" y="%.1f">%s</text>`, fill, x, y, text)
		x -= 7*float64(len(text)) + 5
	}
}

// cuts marks the values that the trunk can end at.
func (d *drawing) cuts() {
	for _, c := range d.g.Cuts {
		x, y := d.at(c.Node)
		y += d.size.pitch / 2
		d.f(`<path class="cut" d="M%.1f %.1fH%.1f"/><text class="flag" x="%.1f" y="%.1f">%s</text>`+"\n",
			x-d.size.boxW/2, y, x+d.size.boxW/2, x+d.size.boxW/2+5, y+4, xmlText(c.Label))
	}
}

// legend says what the picture shows, and lists the spaces.
func (d *drawing) legend() {
	x, y := margin, margin+16
	d.f(`<text class="title" x="%.0f" y="%.0f">%s</text>`+"\n", x, y, xmlText(tail(d.g.Title, 40)))
	for _, note := range d.g.Notes {
		for _, line := range wrap(note, 74) {
			y += 15
			d.f(`<text class="soft" x="%.0f" y="%.0f">%s</text>`+"\n", x, y, xmlText(line))
		}
	}
	y += 26
	for _, k := range []struct{ class, text string }{
		{"aligned", "thin: no features (pixels, tokens, the input’s channels)"}, {"pinned", "grey: pinned features"},
		{"pinned apart", "dotted: each model keeps its own features"},
		{"outside", "pale: not in the trunk"},
	} {
		d.f(`<path class="edge %s" d="M%.0f %.0fh34"/><text x="%.0f" y="%.0f">%s</text>`+"\n", k.class, x, y-4, x+46, y, k.text)
		y += 18
	}
	d.f(`<rect class="tint" x="%.0f" y="%.0f" width="34" height="13"/><text x="%.0f" y="%.0f">tinted: the trunk; red box: where it ends, and why</text>`+"\n", x, y-10, x+46, y)
	y += 30
	d.f(`<text class="op" x="%.0f" y="%.0f">Spaces: number, mode, features</text>`+"\n", x, y)
	y += 8
	for i := range d.g.Spaces {
		y += legendH
		d.entry(i, x, y)
	}
}

// entry is a space's lines in the legend.
func (d *drawing) entry(i int, x, y float64) {
	sp := d.g.Spaces[i]
	mode := sp.Mode
	if sp.Aligned {
		mode += ", aligned"
	}
	about := sp.Name
	if sp.Why != "" {
		about += ": " + sp.Why
	}
	d.f(`<g><title>%s</title><path class="edge %s" stroke="%s" d="M%.0f %.0fh34"/>`, xmlText(about), d.class(i), d.colour(i), x, y-15)
	d.f(`<text x="%.0f" y="%.0f"><tspan class="op">%d</tspan>  %s, %s  <tspan class="soft">%s</tspan></text>`,
		x+46, y-11, sp.ID, mode, Dims(sp.Dim, sp.Dims), xmlText(tail(sp.Name, 40)))
	d.f(`<text class="soft" x="%.0f" y="%.0f">%s</text></g>`+"\n", x+46, y+3, xmlText(head(sp.Why, 68)))
}
