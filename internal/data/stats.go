package data

import (
	"maps"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
)

// defaultBatch is the number of samples read at once where nothing else decides.
const defaultBatch = 64

// InputStats describes the values of one input over all samples.
type InputStats struct {
	Name           string
	Min, Mean, Max float64
	Elements       int64
}

// Stats reads all samples, batch at a time (64 where batch ≤ 0), and describes each input, by name.
func Stats(src calibrate.Source, batch int) ([]InputStats, error) {
	if batch <= 0 {
		batch = defaultBatch
	}
	byName := map[string]*InputStats{}
	for from := 0; from < src.Samples(); from += batch {
		feeds, err := src.Batch(from, min(from+batch, src.Samples()))
		if err != nil {
			return nil, err
		}
		for name, t := range feeds {
			values, err := t.Float64s()
			if err != nil {
				return nil, err
			}
			if byName[name] == nil {
				byName[name] = &InputStats{Name: name, Min: math.Inf(1), Max: math.Inf(-1)}
			}
			byName[name].add(values)
		}
	}
	var out []InputStats
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		s := byName[name]
		s.Mean /= float64(s.Elements) // a sum until here
		out = append(out, *s)
	}
	return out, nil
}

func (s *InputStats) add(values []float64) {
	for _, x := range values {
		s.Min, s.Max = min(s.Min, x), max(s.Max, x)
		s.Mean += x
	}
	s.Elements += int64(len(values))
}
