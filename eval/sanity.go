package eval

import "fmt"

// Sanity describes what a head predicts on data, whatever the labels: a model fed with wrongly prepared data
// tends to one answer.
type Sanity struct {
	Head           string    `json:"head"`
	N              int       `json:"n"`
	Histogram      []int     `json:"histogram"` // samples by predicted output
	Classes        []int64   `json:"classes"`   // the global class of each output
	TopClass       int64     `json:"top_class"` // the class predicted most often
	TopShare       float64   `json:"top_share"` // as a fraction of the samples
	MeanConfidence float64   `json:"mean_confidence"`
	NotFinite      int       `json:"not_finite"`
	Warnings       []Warning `json:"warnings,omitempty"`
}

const (
	oneClassShare   = 0.9 // more than that in one class is suspicious,
	oneClassSamples = 10  // from so many samples on
)

// SanityOf looks at the predictions of each head.
func SanityOf(heads []Head) []Sanity {
	out := make([]Sanity, len(heads))
	for i, h := range heads {
		out[i] = h.sanity()
	}
	return out
}

func (h Head) sanity() Sanity {
	s := Sanity{Head: h.Task.Head, N: len(h.Top), Histogram: make([]int, h.Width), Classes: make([]int64, h.Width)}
	for j := range s.Classes {
		s.Classes[j] = h.Task.class(j)
	}
	for _, t := range h.Top {
		if t.Index < 0 {
			s.NotFinite++
			continue
		}
		s.Histogram[t.Index]++
		s.MeanConfidence += t.Confidence()
	}
	finite := s.N - s.NotFinite
	if finite > 0 {
		s.MeanConfidence /= float64(finite)
		top := 0
		for j, n := range s.Histogram {
			if n > s.Histogram[top] {
				top = j
			}
		}
		s.TopClass, s.TopShare = s.Classes[top], float64(s.Histogram[top])/float64(s.N)
	}
	s.warn()
	return s
}

func (s *Sanity) warn() {
	if s.N >= oneClassSamples && s.TopShare > oneClassShare {
		s.Warnings = append(s.Warnings, Warning{"one_class", fmt.Sprintf(
			"%.0f %% of the samples are predicted as class %d: check how the data is prepared", 100*s.TopShare, s.TopClass), s.Head})
	}
	if s.NotFinite > 0 {
		s.Warnings = append(s.Warnings, Warning{"not_finite", fmt.Sprintf("the logits of %d samples are NaN or infinite", s.NotFinite), s.Head})
	}
}
