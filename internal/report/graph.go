package report

import "strings"

// Graph is a model's graph with its feature spaces, to be drawn by SVG.
type Graph struct {
	Title  string
	Notes  []string // lines below the title
	Nodes  []Node   // in topological order
	Edges  []Edge
	Spaces []Space
	Cuts   []Cut
}

// Node is one node, input or output.
type Node struct {
	Name, Op string
	Outer    bool   // an input or output of the model
	Shared   bool   // in the trunk
	End      string // why the trunk ends here, "" where it does not
	Folded   int    // nodes that this one stands for, set by fold
}

// Edge is a value that one node makes and another reads.
type Edge struct {
	From, To int // indices into Nodes
	Value    string
	Spaces   []int // indices into Graph.Spaces: what its feature axis holds, in order
	Outside  bool  // not part of the trunk: no spaces are known
}

// Space is one of the spaces of package transform/space.
type Space struct {
	ID      int
	Name    string
	Dim     int    // -1: open
	Dims    []int  // in each model, where they differ
	Mode    string // zip, permute, pinned
	Aligned bool
	Why     string
}

// Cut is a value that the trunk can end at.
type Cut struct {
	Node  int // that makes it
	Label string
}

// compactFrom is the number of nodes from which a picture shows operators only: names are shown on hovering.
const compactFrom = 300

// size are the measures of a picture, in pixels.
type size struct{ boxW, boxH, pitch, lane, gap float64 }

func (g *Graph) size() size {
	if len(g.Nodes) > compactFrom {
		return size{boxW: 118, boxH: 20, pitch: 38, lane: 8, gap: 14}
	}
	return size{boxW: 160, boxH: 36, pitch: 64, lane: 12, gap: 20}
}

// tail is the short form of a name: its end, which tells names with long paths apart.
func tail(name string, n int) string {
	r := []rune(name)
	if len(r) <= n {
		return name
	}
	return "…" + string(r[len(r)-n+1:])
}

// wrap breaks a text into lines of at most n runes; a longer word is cut.
func wrap(text string, n int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		word = tail(word, n)
		if line != "" && len([]rune(line))+1+len([]rune(word)) > n {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// head is the beginning of a text that is too long.
func head(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return string(r[:n-1]) + "…"
}
