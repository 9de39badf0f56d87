package refit

import (
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// grid sees a tensor as outer × channels × inner.
type grid struct {
	v                      []float32
	inPlace                bool // v is the tensor's own memory
	outer, channels, inner int
	keep                   []bool // which positions count, outer × inner; nil: all
}

func gridOf(t *onnx.Tensor, axis int) (grid, error) {
	v, inPlace, err := t.ViewFloat32s()
	if err != nil {
		return grid{}, err
	}
	g := grid{v: v, inPlace: inPlace, outer: 1, channels: int(t.Dims[axis]), inner: 1}
	for _, d := range t.Dims[:axis] {
		g.outer *= int(d)
	}
	for _, d := range t.Dims[axis+1:] {
		g.inner *= int(d)
	}
	return g, nil
}

// row is the inner positions of a channel.
func (g grid) row(outer, channel int) []float32 {
	at := (outer*g.channels + channel) * g.inner
	return g.v[at : at+g.inner]
}

// sums are a channel's count, sum and sum of squares around a shift.
type sums struct{ n, sum, square float64 }

// channelStats measures mean and deviation of each channel of a kept value over all batches. Batches are
// added up in order, so that the result does not depend on the number of workers.
func channelStats(w *walk, value string, axis int) (mean, std []float64, err error) {
	var total []sums
	var shift []float64
	parts := make([][]sums, w.batches())
	if len(parts) == 0 {
		return nil, nil, fewSamplesError(w)
	}
	first, err := w.value(value, 0)
	if err != nil {
		return nil, nil, err
	}
	if shift, err = w.firstMeans(first, axis); err != nil {
		return nil, nil, err
	}
	err = w.each(func(b int) error {
		t, err := w.value(value, b)
		if err != nil {
			return err
		}
		g, err := w.gridOf(t, axis, b)
		if err == nil {
			parts[b] = g.sums(shift)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	total = make([]sums, len(shift))
	for _, p := range parts {
		for c := range p {
			total[c].n += p[c].n
			total[c].sum += p[c].sum
			total[c].square += p[c].square
		}
	}
	mean, std = make([]float64, len(shift)), make([]float64, len(shift))
	for c, s := range total {
		d := s.sum / s.n
		mean[c], std[c] = shift[c]+d, math.Sqrt(max(s.square/s.n-d*d, 0))
		if math.IsNaN(mean[c]) || math.IsInf(mean[c], 0) || math.IsNaN(std[c]) || math.IsInf(std[c], 0) {
			return nil, nil, fault.New(fault.Runtime, "not_finite", "the merged network overflows here").AtValue(value)
		}
	}
	return mean, std, nil
}

// fewSamplesError says that there is not even one batch.
func fewSamplesError(w *walk) error {
	return fault.New(fault.Data, "too_few_samples", "%d samples to fit on, but the model runs %d at a time", w.src.Samples(), w.o.Batch).
		WithHint("give more samples, or use --refit none")
}

func (w *walk) firstMeans(t *onnx.Tensor, axis int) ([]float64, error) {
	g, err := w.gridOf(t, axis, 0)
	if err != nil {
		return nil, err
	}
	out := make([]float64, g.channels)
	for c, s := range g.sums(out) {
		if s.n > 0 {
			out[c] = s.sum / s.n
		}
	}
	return out, nil
}

// sums adds up in float64. Four sums in turn keep the additions from waiting for each other.
func (g grid) sums(shift []float64) []sums {
	if g.keep != nil {
		return g.keptSums(shift)
	}
	out := make([]sums, g.channels)
	for o := range g.outer {
		for c := range g.channels {
			s, m, row := &out[c], shift[c], g.row(o, c)
			var sum, square [4]float64
			for ; len(row) >= 4; row = row[4:] {
				a, b, c, d := float64(row[0])-m, float64(row[1])-m, float64(row[2])-m, float64(row[3])-m
				sum[0], square[0] = sum[0]+a, square[0]+a*a
				sum[1], square[1] = sum[1]+b, square[1]+b*b
				sum[2], square[2] = sum[2]+c, square[2]+c*c
				sum[3], square[3] = sum[3]+d, square[3]+d*d
			}
			for _, x := range row {
				d := float64(x) - m
				sum[0], square[0] = sum[0]+d, square[0]+d*d
			}
			s.sum += sum[0] + sum[1] + (sum[2] + sum[3])
			s.square += square[0] + square[1] + (square[2] + square[3])
			s.n += float64(g.inner)
		}
	}
	return out
}

// keptSums is sums over the positions that count.
func (g grid) keptSums(shift []float64) []sums {
	out := make([]sums, g.channels)
	for o := range g.outer {
		for c := range g.channels {
			s := &out[c]
			for i, x := range g.row(o, c) {
				if g.keep[o*g.inner+i] {
					d := float64(x) - shift[c]
					s.n, s.sum, s.square = s.n+1, s.sum+d, s.square+d*d
				}
			}
		}
	}
	return out
}

// apply replaces a kept value z by gain·z + shift in every batch.
func apply(w *walk, value string, axis int, gain, shift []float64) error {
	return w.each(func(b int) error {
		t, err := w.value(value, b)
		if err != nil {
			return err
		}
		g, err := gridOf(t, axis)
		if err != nil {
			return err
		}
		for o := range g.outer {
			for c := range g.channels {
				row, a, d := g.row(o, c), float32(gain[c]), float32(shift[c])
				for i, x := range row {
					row[i] = a*x + d
				}
			}
		}
		if !g.inPlace {
			t = converted(t.DType, g.v, t.Dims)
		}
		return w.replace(value, b, t)
	})
}

// heldError is the squared error, summed over everything, of the merged value against Σ_i M_i·z_i, before
// and after z ← gain·z + shift.
func (r *repairer) heldError(n Node, gain, shift []float64) (before, after, count float64, err error) {
	type part struct{ before, after, count float64 }
	parts := make([]part, r.held.batches())
	err = r.held.each(func(b int) error {
		z, target, err := pairOf(r.held, r.truth, n.Output, n.Axis, n.Members, b)
		if err != nil {
			return err
		}
		p := &parts[b]
		for o := range z.outer {
			for c := range z.channels {
				t, a, s := target.row(o, c), gain[c], shift[c]
				for i, x := range z.row(o, c) {
					if z.keep != nil && !z.keep[o*z.inner+i] {
						continue
					}
					p.count++
					d := float64(x) - float64(t[i])
					e := a*float64(x) + s - float64(t[i])
					p.before += d * d
					p.after += e * e
				}
			}
		}
		return nil
	})
	for _, p := range parts {
		before += p.before
		after += p.after
		count += p.count
	}
	return before, after, max(count, 1), err
}

// pairOf returns a batch of a merged value, and of what the sources' values merge to: Σ_i M_i·z_i.
func pairOf(merged, truth *walk, value string, axis int, members []Member, batch int) (z, target grid, err error) {
	t, err := merged.value(value, batch)
	if err != nil {
		return z, target, err
	}
	if z, err = merged.gridOf(t, axis, batch); err != nil {
		return z, target, err
	}
	target = grid{v: make([]float32, len(z.v)), outer: z.outer, channels: z.channels, inner: z.inner}
	for _, m := range members {
		t, err := truth.value(m.Value, batch)
		if err != nil {
			return z, target, err
		}
		g, err := gridOf(t, axis)
		if err != nil {
			return z, target, err
		}
		for o := range g.outer {
			for c := range g.channels {
				if m.Mix != nil {
					for q := range target.channels {
						addScaled(target.row(o, q), float32(m.Mix.At(q, c)), g.row(o, c))
					}
					continue
				}
				coef := float32(m.Coef[c])
				if coef == 0 {
					continue
				}
				addScaled(target.row(o, m.To[c]), coef, g.row(o, c))
			}
		}
	}
	return z, target, nil
}

// addScaled adds coef·v to dst.
func addScaled(dst []float32, coef float32, v []float32) {
	for i, x := range v {
		dst[i] += coef * x
	}
}
