package transform

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// findReaders finds what reads the features of a trunk's spaces: for each value from which constant weights W contract a
// space, in trunk and heads, the features' covariance there and the sum over these weights of
//
//	w_i·WᵀW / tr(WᵀW·Σ_i)
//
// with w_i the model's weight and Σ_i the covariance of its features: an error then counts by the relative error that it makes where it
// is read.
//
// The weights of one space at a time are held: all together would take several times the models.
func (p *Prepared) findReaders(t *merge.Trunk, stats *Statistics) *readerFinder {
	f := &readerFinder{p: p, stats: stats, reads: map[*space.Space][]weightRead{}}
	for i, m := range p.Sources.Models {
		for _, n := range m.Index.Order {
			f.note(t, i, n)
		}
	}
	return f
}

// readerFinder knows what reads each space; nil knows nothing.
type readerFinder struct {
	p     *Prepared
	stats *Statistics
	reads map[*space.Space][]weightRead

	latest  *space.Space // whose readers were asked for last
	readers []match.Reader
}

// weightRead is a run of positions at which constant weights contract a space.
type weightRead struct {
	model int
	value string // that is read, by model 0's name
	param string // the weights
	axis  int    // of theirs that is contracted
	from  int    // the run's first position
	seg   space.Segment
}

// note notes what node n of model i reads of the trunk's spaces.
func (f *readerFinder) note(t *merge.Trunk, i int, n *onnx.Node) {
	ix := f.p.Sources.Models[i].Index
	c, layout, ok := contracted(ix, t, i, n)
	if !ok {
		return
	}
	value, _ := f.p.Sources.Pairing.Value(i, 0, n.GetInput()[c.InputSlot])
	at := 0
	for _, seg := range layout {
		if moments(f.stats, seg.Space) != nil && chosen(seg.Space) {
			f.reads[seg.Space] = append(f.reads[seg.Space], weightRead{i, value, n.GetInput()[c.ParamSlot], c.ParamAxis, at, seg})
		}
		at += max(seg.Size, 0)
	}
}

// values are those that the readers of a space read, by model 0's names, in the order of the readers.
func (f *readerFinder) values(sp *space.Space) []string {
	var values []string
	for _, r := range f.reads[sp] {
		if !slices.Contains(values, r.value) {
			values = append(values, r.value)
		}
	}
	return values
}

// of returns the readers of a space: one for each of its values.
func (f *readerFinder) of(sp *space.Space) ([]match.Reader, error) {
	if f == nil {
		return nil, nil
	}
	if f.latest == sp {
		return f.readers, nil
	}
	f.latest, f.readers = sp, nil
	values := f.values(sp)
	for _, v := range values {
		f.readers = append(f.readers, match.Reader{Cov: f.stats.at(sp, v).Cov, Rows: []float64{}})
	}
	for _, r := range f.reads[sp] {
		param, err := onnx.TensorOf(f.p.Sources.Models[r.model].Index.Initializer(r.param))
		if err != nil {
			return nil, err
		}
		w, err := param.Float64s()
		if err != nil {
			return nil, err
		}
		a := readerAdder{&f.readers[slices.Index(values, r.value)], f.stats.Products, sp.First(r.model), f.p.weightOf(r.model)}
		if err := a.add(rows(w, param.Dims, r.axis, r.from, r.seg)); err != nil {
			return nil, err
		}
	}
	return f.readers, nil
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

// readerAdder adds weights that read features from first on to what a reader knows, times a weight.
type readerAdder struct {
	r        *match.Reader
	products match.Products
	first    int
	weight   float64
}

// add adds rows of weights, one for each feature, relative to what they make of the features there. They are kept as they are
// while they are fewer than the features, as their Gram beyond.
func (a readerAdder) add(w *mat.Dense) error {
	n, outputs := w.Dims()
	total := 0
	for total*total < len(a.r.Cov) {
		total++
	}
	cov := mat.NewDense(total, total, a.r.Cov).Slice(a.first, a.first+n, a.first, a.first+n).(*mat.Dense)
	if a.r.Rows != nil && len(a.r.Rows)/total+outputs < total {
		return a.addRows(w, cov, total)
	}
	gram, err := match.Multiply(a.products, w, w, true)
	if err != nil {
		return err
	}
	scale := 0.0
	for f := range n {
		scale += floats.Dot(gram.RawRowView(f), cov.RawRowView(f))
	}
	if scale <= 0 {
		return nil // it sees nothing vary
	}
	if a.r.Rows != nil {
		if a.r.Weight, err = a.r.Gram(a.products, total); err != nil {
			return err
		}
		a.r.Rows = nil
	}
	for f := range n {
		floats.AddScaled(a.r.Weight[(a.first+f)*total+a.first:][:n], a.weight/scale, gram.RawRowView(f))
	}
	return nil
}

// addRows is add of weights that are kept as they are; cov is the covariance of the features that they read.
func (a readerAdder) addRows(w, cov *mat.Dense, total int) error {
	n, outputs := w.Dims()
	byOutput := mat.DenseCopyOf(w.T())
	made, err := match.Multiply(a.products, byOutput, mat.DenseCopyOf(cov), false)
	if err != nil {
		return err
	}
	scale := floats.Dot(made.RawMatrix().Data, byOutput.RawMatrix().Data)
	if scale <= 0 {
		return nil // it sees nothing vary
	}
	at := len(a.r.Rows)
	a.r.Rows = append(a.r.Rows, make([]float64, outputs*total)...)
	for o := range outputs {
		floats.ScaleTo(a.r.Rows[at+o*total+a.first:][:n], math.Sqrt(a.weight/scale), byOutput.RawRowView(o))
	}
	return nil
}
