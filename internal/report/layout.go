package report

import (
	"math"
	"slices"
)

// A layered drawing (Sugiyama, Tagawa and Toda 1981): nodes lie on layers by the longest path that leads to them;
// a value that is read further down runs through points of its own on the layers between; the order inside the
// layers comes from barycentres; positions are the nearest to those of the neighbours that keep order and distance.

// point is a node, or a place where a long edge crosses a layer.
type point struct {
	node     int // -1: of an edge
	layer    int
	x, width float64
	up, down []int // neighbours on the layers above and below
}

// link is a piece of an edge between two neighbouring layers.
type link struct{ from, to int }

// layout says where everything lies. The first points are the nodes.
type layout struct {
	points []point
	layers [][]int
	links  map[string][]link // by value
}

// nodeWeight lets nodes stay in line where an edge beside them would like to be there, too.
const nodeWeight = 1000

// sweeps over the layers that improve order and positions; more change little.
const sweeps = 12

func (g *Graph) layout() *layout {
	l := &layout{links: map[string][]link{}}
	s := g.size()
	depth := g.layerOf()
	for i := range g.Nodes {
		l.add(point{node: i, layer: depth[i], width: s.boxW})
	}
	last := map[crossing]int{} // the point of a value on a layer: its readers share one line
	for _, e := range g.sorted() {
		at := e.From
		for layer := depth[e.From] + 1; layer < depth[e.To]; layer++ {
			next, ok := last[crossing{e.From, e.Value, layer}]
			if !ok {
				next = l.add(point{node: -1, layer: layer, width: s.lane})
				last[crossing{e.From, e.Value, layer}] = next
				l.link(e.Value, at, next)
			}
			at = next
		}
		l.link(e.Value, at, e.To)
	}
	for k := range sweeps {
		l.order(k%2 == 0)
	}
	l.place(s.gap)
	return l
}

// crossing is a value on a layer that it only passes.
type crossing struct {
	from  int
	value string
	layer int
}

// sorted lists edges by where they lead, so that the same graph gives the same picture.
func (g *Graph) sorted() []Edge {
	edges := slices.Clone(g.Edges)
	slices.SortStableFunc(edges, func(a, b Edge) int { return a.To - b.To })
	return edges
}

// layerOf is the longest path to each node; what nothing leads to lies just above its first reader.
func (g *Graph) layerOf() []int {
	depth, fed := make([]int, len(g.Nodes)), make([]bool, len(g.Nodes))
	for _, e := range g.sorted() { // nodes are in topological order, and so are the edges by their ends
		depth[e.To] = max(depth[e.To], depth[e.From]+1)
		fed[e.To] = true
	}
	first := map[int]int{} // the reader's layer
	for _, e := range g.Edges {
		if at, ok := first[e.From]; !fed[e.From] && (!ok || depth[e.To] < at) {
			first[e.From] = depth[e.To]
		}
	}
	for i, layer := range first {
		depth[i] = layer - 1
	}
	return depth
}

func (l *layout) add(p point) int {
	for len(l.layers) <= p.layer {
		l.layers = append(l.layers, nil)
	}
	l.layers[p.layer] = append(l.layers[p.layer], len(l.points))
	l.points = append(l.points, p)
	return len(l.points) - 1
}

func (l *layout) link(value string, from, to int) {
	l.links[value] = append(l.links[value], link{from, to})
	l.points[from].down = append(l.points[from].down, to)
	l.points[to].up = append(l.points[to].up, from)
}

// order sorts each layer by the barycentres of its neighbours on the layer before.
func (l *layout) order(down bool) {
	rank := make([]float64, len(l.points))
	for k := range l.layers {
		layer := l.layers[k]
		if !down {
			layer = l.layers[len(l.layers)-1-k]
		}
		key := map[int]float64{}
		for i, p := range layer {
			neighbours := l.points[p].up
			if !down {
				neighbours = l.points[p].down
			}
			key[p] = (float64(i) + 0.5) / float64(len(layer))
			if len(neighbours) > 0 {
				sum := 0.0
				for _, q := range neighbours {
					sum += rank[q]
				}
				key[p] = sum / float64(len(neighbours))
			}
		}
		slices.SortStableFunc(layer, func(a, b int) int { return compare(key[a], key[b]) })
		for i, p := range layer {
			rank[p] = (float64(i) + 0.5) / float64(len(layer))
		}
	}
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// place gives every point its x, the leftmost edge at 0.
func (l *layout) place(gap float64) {
	for _, layer := range l.layers {
		x := 0.0
		for _, p := range layer {
			l.points[p].x = x + l.points[p].width/2
			x += l.points[p].width + gap
		}
		for _, p := range layer { // centred, to start with
			l.points[p].x -= x / 2
		}
	}
	for k := range sweeps {
		for i := range l.layers {
			layer := l.layers[i]
			if k%2 == 1 {
				layer = l.layers[len(l.layers)-1-i]
			}
			l.settle(layer, gap, k%2 == 0)
		}
	}
	left := math.Inf(1)
	for _, p := range l.points {
		left = min(left, p.x-p.width/2)
	}
	for i := range l.points {
		l.points[i].x -= left
	}
}

// settle moves the points of a layer towards their neighbours, as near as order and distances allow: the
// least-squares solution of x[i+1] - x[i] ≥ d[i], by pooling adjacent violators.
func (l *layout) settle(layer []int, gap float64, down bool) {
	type pool struct {
		sum, weight float64
		count       int
	}
	shift := make([]float64, len(layer)) // where point i lies if all stand as close as they may
	for i := 1; i < len(layer); i++ {
		shift[i] = shift[i-1] + (l.points[layer[i-1]].width+l.points[layer[i]].width)/2 + gap
	}
	var pools []pool
	for i, p := range layer {
		w := 1.0
		if l.points[p].node >= 0 {
			w = nodeWeight
		}
		pools = append(pools, pool{w * (l.wish(p, down) - shift[i]), w, 1})
		for n := len(pools); n > 1 && pools[n-2].sum*pools[n-1].weight > pools[n-1].sum*pools[n-2].weight; n-- {
			pools[n-2] = pool{pools[n-2].sum + pools[n-1].sum, pools[n-2].weight + pools[n-1].weight, pools[n-2].count + pools[n-1].count}
			pools = pools[:n-1]
		}
	}
	i := 0
	for _, q := range pools {
		for range q.count {
			l.points[layer[i]].x = q.sum/q.weight + shift[i]
			i++
		}
	}
}

// wish is where a point would like to be: in line with its neighbours. Nodes prefer nodes to passing edges, which
// keeps the main line of a residual network straight.
func (l *layout) wish(p int, down bool) float64 {
	neighbours := l.points[p].up
	if !down {
		neighbours = l.points[p].down
	}
	var sum, n, all float64
	for _, q := range neighbours {
		all += l.points[q].x
		if l.points[q].node >= 0 {
			sum += l.points[q].x
			n++
		}
	}
	switch {
	case len(neighbours) == 0:
		return l.points[p].x
	case n > 0 && l.points[p].node >= 0:
		return sum / n
	}
	return all / float64(len(neighbours))
}
