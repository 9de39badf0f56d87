package merge

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// slabSize is about how many elements of a merged parameter are computed at a time: in float64, a whole one may need more
// memory than the models. A variable, so that tests need no such parameters.
var slabSize = 1 << 18

// contribution is one model's part of a merged parameter, M_i·W_i·U_i, computed by rows of the merged axis 0.
type contribution struct {
	w    *onnx.Tensor
	dims []int64   // of w
	maps []axisMap // of each axis, without entries where it stays
	out  []bool    // axes weighted by M
	// members are the rows of w that a merged row adds up, in w's order; nil where axis 0 stays.
	members [][]int
	// whole is W_i, with the features inside its groups in their merged order; nil for large parameters without groups,
	// of which w is read row by row.
	whole []float64
	// buffers are of rows read, and of what each axis makes of them.
	buffers [][]float64
}

// buffer is n zeros in memory that the next call for the same use takes again.
func (c *contribution) buffer(use, n int) []float64 {
	if cap(c.buffers[use]) < n {
		c.buffers[use] = make([]float64, n)
	}
	b := c.buffers[use][:n]
	clear(b)
	return b
}

func contributionOf(s *Sources, t *Trunk, as Assignments, model int, name string) (*contribution, error) {
	c := &contribution{}
	var err error
	if c.w, err = onnx.TensorOf(s.Models[model].Index.Initializer(name)); err != nil {
		return nil, err
	}
	c.dims = c.w.Dims
	layouts, roles := t.Analysis.Layouts(model, name), t.Analysis.Roles(model, name)
	grouped := len(layouts) > 1 && len(layouts[1]) == 1 && layouts[1][0].Part == space.GroupPart
	if grouped || c.w.Len() <= slabSize {
		if c.whole, err = c.w.Float64s(); err != nil {
			return nil, err
		}
	}
	if grouped {
		c.whole = as.insideGroups(c.whole, c.dims, layouts[1][0], model, len(s.Models), roles[1] == space.Out) // before axis 0 moves the groups
		roles = slices.Clone(roles)
		roles[1] = space.None
	}
	c.buffers = make([][]float64, len(c.dims)+1)
	c.maps, c.out = make([]axisMap, len(c.dims)), make([]bool, len(c.dims))
	for axis, role := range roles {
		if role != space.None {
			c.maps[axis], c.out[axis] = as.mapAxis(layouts[axis], model, len(s.Models), int(c.dims[axis])), role == space.Out
		}
	}
	if len(roles) > 0 && c.maps[0].mix != nil {
		return c, c.mixRows()
	}
	if len(roles) > 0 && roles[0] != space.None {
		c.members = make([][]int, c.maps[0].width)
		for p, r := range c.maps[0].to {
			c.members[r] = append(c.members[r], p)
		}
	}
	return c, nil
}

// mixRows makes w's merged rows: every one of them has something of every row of w.
func (c *contribution) mixRows() (err error) {
	if c.whole == nil {
		if c.whole, err = c.w.Float64s(); err != nil {
			return err
		}
	}
	c.whole, c.dims = c.maps[0].scatter(c.whole, c.dims, 0, c.out[0])
	c.maps[0] = axisMap{}
	return nil
}

// moves reports whether an axis is mapped onto another.
func (m axisMap) moves() bool { return m.to != nil }

func (c *contribution) mergedDims() []int64 {
	dims := slices.Clone(c.dims)
	for axis, m := range c.maps {
		if m.moves() {
			dims[axis] = int64(m.width)
		}
	}
	return dims
}

// rows computes the merged rows from one to before another; a parameter without axes is one row. They are valid until the
// next call.
func (c *contribution) rows(from, to int) ([]float64, error) {
	if len(c.dims) == 0 {
		return c.row(0)
	}
	inner := int(product(c.dims[1:]))
	v := c.buffer(0, (to-from)*inner)
	for r := from; r < to; r++ {
		sum := v[(r-from)*inner : (r-from+1)*inner]
		if c.members == nil {
			row, err := c.row(r)
			if err != nil {
				return nil, err
			}
			copy(sum, row)
			continue
		}
		if err := c.addMembers(sum, r); err != nil {
			return nil, err
		}
	}
	dims := slices.Clone(c.dims)
	dims[0] = int64(to - from)
	for axis, m := range c.maps {
		if axis > 0 && m.moves() {
			out := c.buffer(axis, len(v)/max(len(m.to), 1)*m.width)
			v, dims = m.scatterInto(out, v, dims, axis, c.out[axis])
		}
	}
	return v, nil
}

// addMembers adds the rows of w that merged row r takes.
func (c *contribution) addMembers(sum []float64, r int) error {
	for _, p := range c.members[r] {
		coef := 1.0
		if c.out[0] {
			coef = c.maps[0].coef[p]
		}
		if coef == 0 {
			continue
		}
		row, err := c.row(p)
		if err != nil {
			return err
		}
		for x := range row {
			sum[x] += coef * row[x]
		}
	}
	return nil
}

// row is row p of w.
func (c *contribution) row(p int) ([]float64, error) {
	inner := 1
	if len(c.dims) > 0 {
		inner = int(product(c.dims[1:]))
	}
	if c.whole != nil {
		return c.whole[p*inner : (p+1)*inner], nil
	}
	row, err := c.w.Part(p*inner, inner).AppendFloat64s(c.buffers[len(c.dims)][:0])
	c.buffers[len(c.dims)] = row
	return row, err
}

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}
