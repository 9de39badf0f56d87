package transform

import (
	"math"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/mat"
)

// findReaders finds what reads the features of a trunk's spaces: for each value from which constant weights W contract a
// space, in trunk and heads, the features' covariance there and the sum over these weights of
//
//	w_i·WᵀW / tr(WᵀW·Σ_i)
//
// with w_i the model's weight and Σ_i the covariance of its features: an error then counts by the relative error that it makes where it
// is read.
func (p *Prepared) findReaders(t *merge.Trunk, stats *Statistics) (*readerFinder, error) {
	f := &readerFinder{p: p, t: t, stats: stats, out: map[*space.Space][]match.Reader{}, at: map[string]int{}, values: map[*space.Space][]string{}}
	for i, m := range p.Sources.Models {
		for _, n := range m.Index.Order {
			if err := f.add(i, n); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

type readerFinder struct {
	p     *Prepared
	t     *merge.Trunk
	stats *Statistics
	out   map[*space.Space][]match.Reader
	at    map[string]int // placeTap → the reader's number
	// values are those that the readers of a space read, by model 0's names
	values map[*space.Space][]string
}

// add adds what node n of model i reads of the trunk's spaces.
func (f *readerFinder) add(i int, n *onnx.Node) error {
	ix := f.p.Sources.Models[i].Index
	c, layout, ok := contracted(ix, f.t, i, n)
	if !ok {
		return nil
	}
	param, err := onnx.TensorOf(ix.Initializer(n.GetInput()[c.ParamSlot]))
	if err != nil {
		return err
	}
	w, err := param.Float64s()
	if err != nil {
		return err
	}
	value, _ := f.p.Sources.Pairing.Value(i, 0, n.GetInput()[c.InputSlot])
	at := 0
	for _, seg := range layout {
		if moments(f.stats, seg.Space) != nil && chosen(seg.Space) {
			r := f.reader(seg.Space, value)
			addGram(r, rows(w, param.Dims, c.ParamAxis, at, seg), seg.Space.First(i), f.p.weightOf(i))
		}
		at += max(seg.Size, 0)
	}
	return nil
}

// chosen reports whether a subset of a space's features may be kept.
func chosen(sp *space.Space) bool { return sp.Mode == space.Zip || sp.Mode == space.Permute }

// contracted is the axis of a trunk's value that a node of model i contracts with constant weights; ok is false for
// other nodes.
func contracted(ix *onnx.Index, t *merge.Trunk, i int, n *onnx.Node) (c space.Contraction, l space.Layout, ok bool) {
	if c, ok = space.ContractionOf(ix, n, 2); !ok {
		return c, nil, false
	}
	layouts := t.Analysis.Layouts(i, n.GetInput()[c.InputSlot])
	c, ok = space.ContractionOf(ix, n, len(layouts))
	if !ok || c.InputAxis >= len(layouts) {
		return c, nil, false // a value behind the trunk
	}
	return c, layouts[c.InputAxis], true
}

// reader is that of a space at a value, a new one where it was not seen before.
func (f *readerFinder) reader(sp *space.Space, value string) *match.Reader {
	name := placeTap(sp, value)
	k, ok := f.at[name]
	if !ok {
		m := f.stats.at(sp, value)
		k = len(f.out[sp])
		f.at[name] = k
		f.out[sp] = append(f.out[sp], match.Reader{Cov: m.Cov, Rows: []float64{}})
		f.values[sp] = append(f.values[sp], value)
	}
	return &f.out[sp][k]
}

// rows are the weights that a segment of an axis meets: a row for each feature.
func rows(w []float64, dims []int64, axis, at int, seg space.Segment) *mat.Dense {
	outer, size, inner := 1, int(dims[axis]), 1
	for _, d := range dims[:axis] {
		outer *= int(d)
	}
	for _, d := range dims[axis+1:] {
		inner *= int(d)
	}
	run := seg.Inner * inner
	out := mat.NewDense(seg.Size/seg.Inner, outer*run, nil)
	for o := range outer {
		for f := range seg.Size / seg.Inner {
			copy(out.RawRowView(f)[o*run:][:run], w[(o*size+at)*inner+f*run:])
		}
	}
	return out
}

// addGram adds rows of weights, which read features from first on, to what a reader knows: times a weight, relative to what they make of
// the features there. They are kept as they are while they are fewer than the features, as their Gram beyond.
func addGram(r *match.Reader, w *mat.Dense, first int, weight float64) {
	n, total := w.RawMatrix().Rows, 0
	for total*total < len(r.Cov) {
		total++
	}
	cov := mat.NewDense(total, total, r.Cov).Slice(first, first+n, first, first+n)
	var made mat.Dense
	made.Mul(w.T(), cov)
	scale := 0.0
	for o := range made.RawMatrix().Rows {
		scale += mat.Dot(made.RowView(o), w.ColView(o))
	}
	if scale <= 0 {
		return // it sees nothing vary
	}
	outputs := w.RawMatrix().Cols
	if r.Rows != nil && len(r.Rows)/total+outputs >= total {
		r.Weight, r.Rows = r.Gram(total), nil
	}
	factor := weight / scale
	if r.Rows != nil {
		at := len(r.Rows)
		r.Rows = append(r.Rows, make([]float64, outputs*total)...)
		for f := range n {
			for o, x := range w.RawRowView(f) {
				r.Rows[at+o*total+first+f] = x * math.Sqrt(factor)
			}
		}
		return
	}
	var gram mat.SymDense
	gram.SymOuterK(1, w)
	for a := range n {
		for b := range n {
			r.Weight[(first+a)*total+first+b] += factor * gram.At(a, b)
		}
	}
}
