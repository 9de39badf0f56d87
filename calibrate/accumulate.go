package calibrate

import (
	"encoding/binary"
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// sums accumulates the shifted sums of one tap in float64.
type sums struct {
	tap    Tap
	n      float64
	shift  []float64 // len O
	sum    []float64 // len O: Σ (x−shift)
	square []float64 // O×O, its upper half: Σ (x−shift)(x−shift)ᵀ; of a diagonal tap O: the squares
}

func newSums(p *tapPlan, scratch *Scratch) (_ *sums, err error) {
	o := p.tap.features()
	s := &sums{tap: p.tap, sum: make([]float64, o)}
	if p.tap.Diagonal {
		s.square = make([]float64, o)
	} else if s.square, err = scratch.Floats(o * o); err != nil {
		return nil, err
	}
	for i, part := range p.tap.Parts {
		shift := make([]float64, part.Len) // zero where the plan has none
		copy(shift, p.shifts[i])
		s.shift = append(s.shift, shift...)
	}
	return s, nil
}

// add adds the outputs of a batch, computed as planned. Where a sum is not finite it returns an error of kind
// fault.Runtime that names the value.
func (s *sums) add(p *tapPlan, names sumNames, out map[string]*onnx.Tensor) error {
	if n, ok := out[names.mask]; ok {
		counted, err := n.Float64s()
		if err != nil {
			return err
		}
		s.n += counted[0]
	} else {
		s.n += float64(p.positions)
	}
	if err := s.addVectors(s.sum, names.sums, out, p.scale); err != nil {
		return err
	}
	addSquares := s.addProducts
	if s.tap.Diagonal {
		addSquares = s.addVectors
	}
	if err := addSquares(s.square, names.squares, out, p.scale); err != nil {
		return err
	}
	return s.check()
}

// addVectors adds one vector for each part.
func (s *sums) addVectors(total []float64, names []string, out map[string]*onnx.Tensor, scale float64) error {
	for i, part := range s.tap.Parts {
		if err := addBlock(total, 0, 1, part.Len, out[names[i]], scale); err != nil {
			return err
		}
		total = total[part.Len:]
	}
	return nil
}

// addProducts adds one block of the O×O matrix for each pair of parts, in the order of sumNames.squares.
func (s *sums) addProducts(total []float64, names []string, out map[string]*onnx.Tensor, scale float64) error {
	o, row := len(s.sum), 0
	for i, part := range s.tap.Parts {
		column := row
		for _, other := range s.tap.Parts[i:] {
			if err := addBlock(total[row*o+column:], o, part.Len, other.Len, out[names[0]], scale); err != nil {
				return err
			}
			names = names[1:]
			column += other.Len
		}
		row += part.Len
	}
	return nil
}

// addBlock adds scale times t, a float64 tensor of rows×columns elements, to rows that lie stride apart.
func addBlock(total []float64, stride, rows, columns int, t *onnx.Tensor, scale float64) error {
	if t == nil || t.DType != onnx.Double || len(t.Raw) != 8*rows*columns {
		return fault.New(fault.Runtime, "bad_output", "the engine returned no %d×%d float64 values", rows, columns)
	}
	for r := range rows {
		raw, row := t.Raw[8*r*columns:], total[r*stride:][:columns]
		for c := range row {
			row[c] += scale * math.Float64frombits(binary.LittleEndian.Uint64(raw[8*c:]))
		}
	}
	return nil
}

// variance is the position of a feature's variance in square.
func (s *sums) variance(k int) int {
	if s.tap.Diagonal {
		return k
	}
	return k*len(s.sum) + k
}

// check looks at means and variances only: no covariance is larger than its variances.
func (s *sums) check() error {
	for k, sum := range s.sum {
		if !finite(sum) || !finite(s.square[s.variance(k)]) {
			return fault.New(fault.Runtime, "not_finite", "it becomes infinite or NaN").AtValue(s.tap.valueOf(k)).
				WithHint("check that the data is normalised as the model wants it")
		}
	}
	return nil
}

// moments ends the accumulation and takes the memory over: with d = Σ(x−shift)/n, the mean is shift + d
// and the covariance Σ(x−shift)(x−shift)ᵀ/n − d·dᵀ. A shift near the mean leaves nothing to cancel.
func (s *sums) moments() *Moments {
	o := len(s.sum)
	m := &Moments{N: s.n, Mean: make([]float64, o), Cov: s.square}
	d := make([]float64, o)
	for i := range d {
		d[i] = s.sum[i] / s.n
		m.Mean[i] = s.shift[i] + d[i]
	}
	for i := range d {
		v := s.variance(i)
		m.Cov[v] = max(0, m.Cov[v]/s.n-d[i]*d[i])
		if s.tap.Diagonal {
			continue
		}
		for j := i + 1; j < o; j++ {
			c := m.Cov[i*o+j]/s.n - d[i]*d[j]
			m.Cov[i*o+j], m.Cov[j*o+i] = c, c
		}
	}
	return m
}
