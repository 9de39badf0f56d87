package transform

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Assign matches the features of every space of the trunk.
func (p *Prepared) Assign(t *merge.Trunk, stats *Statistics, o Settings) (merge.Assignments, error) {
	as := merge.Assignments{}
	for _, sp := range t.Analysis.Spaces {
		a, err := p.assignSpace(sp, t, stats, o)
		if err != nil {
			return nil, fault.Wrap(fault.As(err).Kind, "match_failed", err, "space %q", sp.Name)
		}
		as[sp] = a
	}
	return as, nil
}

func (p *Prepared) assignSpace(sp *space.Space, t *merge.Trunk, stats *Statistics, o Settings) (merge.Assignment, error) {
	widths := make([]int, len(p.Sources.Models))
	for i := range widths {
		widths[i] = sp.Dim
	}
	z, err := matchSpace(sp, t, stats, o, widths)
	if err != nil {
		return merge.Assignment{}, err
	}
	if o.Represent == "select" {
		if m := moments(stats, sp); m != nil {
			return merge.Select(z, variances(m)), nil
		}
	}
	return merge.Average(z), nil
}

func moments(stats *Statistics, sp *space.Space) *calibrate.Moments {
	if stats == nil {
		return nil
	}
	return stats.Space(sp)
}

// matchSpace chooses who joins whom. Spaces that are identical in all models, or were not measured (padded
// constants), are shared as they are; a space that may only be permuted never merges features of one model.
func matchSpace(sp *space.Space, t *merge.Trunk, stats *Statistics, o Settings, widths []int) (match.Zip, error) {
	switch {
	case t.Identical[sp], o.Match == "identity":
		return match.Identity(widths)
	case o.Match == "full" && sp.Mode == space.Zip && sp.Fixed == "":
		return match.Full(widths), nil
	case o.Match == "full":
		return match.Identity(widths)
	}
	m := moments(stats, sp)
	if m == nil {
		return match.Identity(widths)
	}
	f := match.Features{Widths: widths, Mean: m.Mean, Cov: m.Cov}
	mo := o.matchOptions()
	switch {
	case o.Match == "random":
		mo.Seed += uint64(sp.ID)
		return match.Random(f, mo)
	case o.Match == "permute" || sp.Mode == space.Permute:
		return match.Permute(f, mo)
	case o.Match == "zipit":
		return match.Reference(f, mo)
	}
	return match.Greedy(f, mo)
}

func variances(m *calibrate.Moments) []float64 {
	n := len(m.Mean)
	if len(m.Cov) == n {
		return m.Cov
	}
	v := make([]float64, n)
	for k := range v {
		v[k] = m.Cov[k*n+k]
	}
	return v
}
