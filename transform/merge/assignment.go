package merge

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/mat"
)

// Assignment is a zip of one space with the weights of its members: M has Coef[k] at row Of[k], column
// k, where k counts the features of all models, model after model. U is the membership matrix: feature k
// is taken from merged feature Of[k].
type Assignment struct {
	match.Zip
	Coef []float64
	// Mix, of a linear space, has combinations of features instead: Of and Coef then only say which merged feature each
	// feature has most of, and how much of it is kept.
	Mix *Mix
}

// Mix merges features into combinations: z = M·x and x ≈ U·z, with the features of all models stacked in x. M is [Width, features],
// U [features, Width].
type Mix struct{ M, U *mat.Dense }

// Average gives every member of a merged feature the same weight: M = D⁻¹Pᵀ (ZipIt, §3).
func Average(z match.Zip) Assignment {
	counts := make([]int, z.Width)
	for _, m := range z.Of {
		counts[m]++
	}
	a := Assignment{Zip: z, Coef: make([]float64, len(z.Of))}
	for k, m := range z.Of {
		a.Coef[k] = 1 / float64(counts[m])
	}
	return a
}

// Select lets every merged feature imitate the member with the largest score (ties: the first): a mean
// of two ReLU units is not a ReLU unit.
func Select(z match.Zip, score []float64) Assignment {
	best := make([]int, z.Width)
	for m := range best {
		best[m] = -1
	}
	for k, m := range z.Of {
		if best[m] < 0 || score[k] > score[best[m]] {
			best[m] = k
		}
	}
	return Imitate(z, best)
}

// Imitate lets merged feature m be its member keep[m].
func Imitate(z match.Zip, keep []int) Assignment {
	a := Assignment{Zip: z, Coef: make([]float64, len(z.Of))}
	for _, k := range keep {
		if k >= 0 {
			a.Coef[k] = 1
		}
	}
	return a
}

// keepsOrder reports whether merged feature k takes feature k of every model, of dim each.
func (a Assignment) keepsOrder(dim int) bool {
	if a.Mix != nil {
		return false
	}
	for k, m := range a.Of {
		if m != k%dim {
			return false
		}
	}
	return a.Width == dim
}

// Assignments holds one assignment for each space of a trunk.
type Assignments map[*space.Space]Assignment

// segmentSize is the number of positions of a segment after the merge; -1 where unknown.
func (as Assignments) segmentSize(seg space.Segment) int {
	if a := as[seg.Space]; !stays(seg) && seg.Part == space.HeadPart && a.Width != seg.Space.Dim {
		return a.Width / (seg.Space.Dim / seg.Space.Heads) * seg.Inner
	}
	if stays(seg) || seg.Part != space.Whole { // what is inside heads keeps its number
		return seg.Size
	}
	return as[seg.Space].Width * seg.Inner
}

// stays is true of positions that no assignment moves: aligned ones, and pinned features, which are in a
// trunk only where all models have the same, or tied to positions that mean the same.
func stays(seg space.Segment) bool { return seg.Space == nil || seg.Space.Mode == space.Pinned }

// check reports an assignment that does not fit its space.
func (as Assignments) check(spaces []*space.Space, models int) error {
	for _, s := range spaces {
		if s.Mode == space.Pinned {
			continue
		}
		a, ok := as[s]
		if !ok {
			return fault.New(fault.Internal, "no_assignment", "space %q has no assignment", s.Name)
		}
		if n := s.First(models); len(a.Of) != n || len(a.Coef) != len(a.Of) {
			return fault.New(fault.Usage, "bad_assignment", "space %q: %d entries for %d features of %d models",
				s.Name, len(a.Of), n, models)
		}
		if err := a.Validate(); err != nil {
			return fault.Wrap(fault.Usage, "bad_assignment", err, "space %q", s.Name)
		}
		if a.Mix != nil {
			if err := a.checkMix(s); err != nil {
				return err
			}
			continue
		}
		if anyHeads := s.AnyHeads && a.Width != s.Dim; s.Mode == space.Permute && !anyHeads && !oneEach(a.Zip, s.Dim) {
			return fault.New(fault.Usage, "bad_assignment", "space %q: every merged feature must take one feature of each model: %s",
				s.Name, s.Reasons())
		}
		if s.Heads > 0 && !keepsHeads(a, s, models) {
			return fault.New(fault.Usage, "bad_assignment", "space %q: heads must move as a whole", s.Name)
		}
		if s.Fixed != "" && a.Width != s.Dim {
			return fault.New(fault.Unsupported, "fixed_width", "the width of space %q cannot change: %s", s.Name, s.Fixed)
		}
	}
	return nil
}

// checkMix reports combinations that do not fit their space.
func (a Assignment) checkMix(s *space.Space) error {
	rows, columns := a.Mix.M.Dims()
	n, width := a.Mix.U.Dims()
	if !s.Linear || rows != a.Width || width != a.Width || columns != len(a.Of) || n != len(a.Of) {
		return fault.New(fault.Usage, "bad_assignment", "space %q: combinations %d×%d and %d×%d of %d features, linear %t",
			s.Name, rows, columns, n, width, len(a.Of), s.Linear)
	}
	return nil
}

// oneEach reports whether every merged feature takes exactly one feature of each model.
func oneEach(z match.Zip, dim int) bool {
	seen := map[[2]int]bool{}
	for k, m := range z.Of {
		seen[[2]int{k / dim, m}] = true
	}
	return z.Width == dim && len(seen) == len(z.Of)
}

// keepsHeads reports whether every head of every model goes into one merged head: one to one, but where there are more or fewer than in
// each.
func keepsHeads(a Assignment, s *space.Space, models int) bool {
	inside := s.Dim / s.Heads
	others := a.Width != s.Dim
	if others && (!s.AnyHeads || a.Width%inside != 0) {
		return false
	}
	for i := range models {
		seen := map[int]bool{}
		for f := range s.Dim {
			to := a.Of[i*s.Dim+f]
			if to/inside != a.Of[i*s.Dim+f/inside*inside]/inside || seen[to] && !others || s.InsideFixed && to%inside != f%inside || s.HeadsFixed && to/inside != f/inside {
				return false
			}
			seen[to] = true
		}
	}
	return true
}

// axisMap says where the positions of one model's axis go in the merged axis.
type axisMap struct {
	to    []int     // position → merged position
	coef  []float64 // position → weight under M
	width int       // positions of the merged axis
	// mix has the combinations of an axis of a linear space, the model's own part: M [width, positions] and U [positions, width].
	mix *Mix
}

// mapAxis lays a model's axis onto the merged one, segment by segment: feature f of model i goes to
// Of[i·n+f], its inner positions with it.
// Aligned positions stay where they are; on an axis that M averages they are the mean of the models'.
func (as Assignments) mapAxis(layout space.Layout, model, models, size int) axisMap {
	if size < 0 { // shape inference could not tell, but the ties of the analysis do
		size = 0
		for _, seg := range layout {
			size += seg.Size
		}
	}
	if len(layout) == 1 && layout[0].Space != nil && as[layout[0].Space].Mix != nil {
		return as[layout[0].Space].mixed(layout[0].Space, model)
	}
	m := axisMap{to: make([]int, 0, max(size, 0)), coef: make([]float64, 0, max(size, 0))}
	for _, seg := range layout {
		if stays(seg) {
			n := seg.Size
			if n < 0 {
				n = size - len(m.to)
			}
			for p := range n {
				m.to, m.coef = append(m.to, m.width+p), append(m.coef, 1/float64(models))
			}
			m.width += n
			continue
		}
		a := as[seg.Space]
		first := seg.Space.First(model)
		switch seg.Part {
		case space.HeadPart:
			m.addHeads(a, seg, first)
			continue
		case space.InsidePart: // of a parameter: one order for all heads, which is fixed
			for p := range seg.Size {
				m.to, m.coef = append(m.to, m.width+p), append(m.coef, 1/float64(models))
			}
			m.width += seg.Size
			continue
		}
		if seg.Part == space.RepeatedPart {
			m.addRepeated(a, seg, first)
			continue
		}
		for p := range seg.Size {
			f, inner := p/seg.Inner, p%seg.Inner
			m.to = append(m.to, m.width+a.Of[first+f]*seg.Inner+inner)
			m.coef = append(m.coef, a.Coef[first+f])
		}
		m.width += a.Width * seg.Inner
	}
	if size >= 0 && len(m.to) != size {
		panic(fmt.Sprintf("merge: layout of %d positions on an axis of %d", len(m.to), size))
	}
	return m
}

// mixed is the axis of a model on which a linear space lies.
func (a Assignment) mixed(s *space.Space, model int) axisMap {
	first, n := s.First(model), s.In(model)
	return axisMap{
		to: a.Of[first : first+n], coef: a.Coef[first : first+n], width: a.Width,
		mix: &Mix{M: a.Mix.M.Slice(0, a.Width, first, first+n).(*mat.Dense), U: a.Mix.U.Slice(first, first+n, 0, a.Width).(*mat.Dense)},
	}
}

// addHeads lays an axis that counts heads: head h goes where the assignment sends its first feature.
func (m *axisMap) addHeads(a Assignment, seg space.Segment, first int) {
	inside := seg.Space.Dim / seg.Space.Heads
	for p := range seg.Size {
		f := first + p/seg.Inner*inside
		m.to = append(m.to, m.width+a.Of[f]/inside*seg.Inner+p%seg.Inner)
		m.coef = append(m.coef, a.Coef[f])
	}
	m.width += a.Width / inside * seg.Inner
}

// addRepeated lays an axis that holds each head's features several times: all copies go where the features go.
func (m *axisMap) addRepeated(a Assignment, seg space.Segment, first int) {
	d := seg.Stretch
	for p := range seg.Size {
		f := first + p/(seg.Inner*d)*d + p%d
		m.to = append(m.to, m.width+a.Of[f]/d*seg.Inner*d+p/d%seg.Inner*d+a.Of[f]%d)
		m.coef = append(m.coef, a.Coef[f])
	}
	m.width += seg.Size
}

// insideGroups reorders axis 1 of a grouped convolution's filters, v of the given dims: the features inside the
// group that a position along axis 0 belongs to. The groups themselves stay: axis 0 carries them along.
func (as Assignments) insideGroups(v []float64, dims []int64, seg space.Segment, model, models int, weighted bool) []float64 {
	whole := seg
	whole.Size, whole.Part = seg.Space.Dim, space.Whole
	m := as.mapAxis(space.Layout{whole}, model, models, whole.Size)
	rows, n, inner := int(dims[0]), int(dims[1]), 1
	for _, d := range dims[2:] {
		inner *= int(d)
	}
	out := make([]float64, len(v))
	for r := range rows {
		for p := range n {
			f := r*(seg.Space.Dim/n)/rows*n + p
			dst := out[(r*n+m.to[f]%n)*inner:][:inner]
			c := 1.0
			if weighted {
				c = m.coef[f]
			}
			for x, w := range v[(r*n+p)*inner:][:inner] {
				dst[x] += c * w
			}
		}
	}
	return out
}

// identity reports whether the model's axis is the merged axis.
func (m axisMap) identity() bool {
	if m.mix != nil || m.width != len(m.to) {
		return false
	}
	for p, q := range m.to {
		if p != q {
			return false
		}
	}
	return true
}

// scatter adds the tensor v of the given dims along one axis into positions m.to of an axis of m.width,
// each weighted by m.coef where weighted. It returns the new values and dims.
func (m axisMap) scatter(v []float64, dims []int64, axis int, weighted bool) ([]float64, []int64) {
	size := m.width
	for k, d := range dims {
		if k != axis {
			size *= int(d)
		}
	}
	return m.scatterInto(make([]float64, size), v, dims, axis, weighted)
}

// scatterInto is scatter into zeros.
func (m axisMap) scatterInto(out, v []float64, dims []int64, axis int, weighted bool) ([]float64, []int64) {
	outer, inner := 1, 1
	for _, d := range dims[:axis] {
		outer *= int(d)
	}
	for _, d := range dims[axis+1:] {
		inner *= int(d)
	}
	newDims := append([]int64(nil), dims...)
	newDims[axis] = int64(m.width)
	n := len(m.to)
	if m.mix != nil {
		m.mixInto(out, v, outer, n, inner, weighted)
		return out, newDims
	}
	for o := range outer {
		for p := range n {
			src := v[(o*n+p)*inner : (o*n+p+1)*inner]
			dst := out[(o*m.width+m.to[p])*inner:][:inner]
			c := 1.0
			if weighted {
				c = m.coef[p]
			}
			if c == 0 {
				continue
			}
			for x := range src {
				dst[x] += c * src[x]
			}
		}
	}
	return out, newDims
}

// mixInto multiplies v [outer, n, inner] by M along its middle where weighted, by Uᵀ elsewhere.
func (m axisMap) mixInto(out, v []float64, outer, n, inner int, weighted bool) {
	by := m.mix.M // [width, n]
	if !weighted {
		by = mat.DenseCopyOf(m.mix.U.T())
	}
	if inner == 1 {
		mat.NewDense(outer, m.width, out).Mul(mat.NewDense(outer, n, v), by.T())
		return
	}
	for o := range outer {
		mat.NewDense(m.width, inner, out[o*m.width*inner:][:m.width*inner]).Mul(by, mat.NewDense(n, inner, v[o*n*inner:][:n*inner]))
	}
}

// MixOf is M of a model's axis of a linear space, [merged, positions]; nil where features join features.
func (as Assignments) MixOf(layout space.Layout, model int) *mat.Dense {
	if len(layout) != 1 || layout[0].Space == nil || as[layout[0].Space].Mix == nil {
		return nil
	}
	return as[layout[0].Space].mixed(layout[0].Space, model).mix.M
}

// Map says for each position of a model's axis which position of the merged axis it joins, and with which
// weight in the merge (M); width is the number of merged positions. The layout's sizes must be known.
func (as Assignments) Map(layout space.Layout, model, models int) (to []int, coef []float64, width int) {
	size := 0
	for _, seg := range layout {
		size += seg.Size
	}
	m := as.mapAxis(layout, model, models, size)
	return m.to, m.coef, m.width
}
