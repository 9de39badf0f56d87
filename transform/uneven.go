package transform

import (
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// meanWidth is the width of a merged space where none is planned: that of each model or, where they differ, the mean.
func meanWidth(sp *space.Space) int {
	if sp.Even() {
		return sp.Dim
	}
	n := len(sp.Dims)
	return (sp.First(n) + n/2) / n
}

// widths are the numbers of features of a space in each model.
func (p *Prepared) widths(sp *space.Space) []int {
	w := make([]int, len(p.Sources.Models))
	for i := range w {
		w[i] = sp.In(i)
	}
	return w
}

// matchUneven is matchSpace for models of other numbers of features: nothing can be joined one to one.
func matchUneven(sp *space.Space, stats *Statistics, o Settings, widths []int, width int, readers []match.Reader) (z match.Zip, keep []int, err error) {
	mo := o.matchOptions()
	mo.Width = width
	switch o.Match {
	case "full":
		return match.Full(widths), nil, nil
	case "identity", "permute", "random":
		return z, nil, fault.New(fault.Usage, "uneven_widths", "--match %s joins features one to one, and the models have %v of them", o.Match, widths).
			WithHint("use --match zip")
	}
	m := moments(stats, sp)
	if m == nil { // constants, one like the other
		return byNumber(widths, width), nil, nil
	}
	f := stats.features(m, widths, readers)
	switch {
	case o.Match == "subset" && explains(m, widths):
		return match.Subset(f, mo)
	case o.Match == "zipit":
		z, err = match.Reference(f, mo)
	default:
		z, err = match.Greedy(f, mo)
	}
	return z, nil, err
}

// byNumber joins features that are next to each other, whatever they are.
func byNumber(widths []int, width int) match.Zip {
	z, all := match.Zip{Width: width}, 0
	for _, n := range widths {
		all += n
	}
	for k := range all {
		z.Of = append(z.Of, k*width/all)
	}
	return z
}

// keepUneven makes one model's features the merged ones, in its own order; those of the others join the one that they
// are correlated with most.
func (p *Prepared) keepUneven(sp *space.Space, m *calibrate.Moments, o Settings) (merge.Assignment, error) {
	base := p.baseModel(o)
	first, width := sp.First(base), sp.In(base)
	z := match.Zip{Width: width}
	var c []float64
	if m != nil {
		c = match.Features{Mean: m.Mean, Cov: m.Cov, Widths: sp.Dims}.Correlation()
	}
	all := sp.First(len(sp.Dims))
	for i, n := range sp.Dims {
		for k := range n {
			to := k * width / n
			if i == base {
				to = k
			} else if c != nil {
				to = nearest(c[(sp.First(i)+k)*all+first:][:width], to)
			}
			z.Of = append(z.Of, to)
		}
	}
	keep := make([]int, width)
	for k := range keep {
		keep[k] = first + k
	}
	return merge.Imitate(z, keep), nil
}

// nearest is where the largest of some correlations is, at of equal ones.
func nearest(c []float64, at int) int {
	best := c[at]
	for k, v := range c {
		if v > best+math.SmallestNonzeroFloat64 {
			best, at = v, k
		}
	}
	return at
}
