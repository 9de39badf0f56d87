package data

import (
	"slices"
	"sort"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Source is a calibrate.Source that remembers where its samples came from. Bound is one, and Concat,
// Sample and Split make others. All hold a multiple of BatchSize samples, and may be read from several
// goroutines.
type Source interface {
	calibrate.Source
	// BatchSize is the number of samples that the model takes at once, 0 where it is free.
	BatchSize() int
	// Origin says where sample i came from.
	Origin(i int) Origin
	// Labels returns the label of each sample, or why there are none.
	Labels() ([]int64, error)
}

// Origin is the place of a sample.
type Origin struct {
	Source int    // which argument of the outermost Concat; 0 where there was none
	File   string // the file
	Sample int    // its number within the file
}

// concat is several sources one after the other.
type concat struct {
	sources []Source
	starts  []int // of each source's first sample; the last entry is the number of all
	samples int
}

// Concat joins sources, samples in order of the arguments. They must have the same inputs; where those
// have open axes, the same sizes too. For an order in which the sources are mixed, see Sample.
func Concat(sources ...Source) (Source, error) {
	if len(sources) == 0 {
		return nil, bad("no_samples", "there is no data")
	}
	c := &concat{sources: sources, starts: []int{0}}
	var heads []map[string]*onnx.Tensor
	for i, s := range sources {
		head, err := s.Batch(0, 1)
		if err != nil {
			return nil, err
		}
		if _, err := stack(append(heads, head)); err != nil || s.BatchSize() != sources[0].BatchSize() {
			return nil, bad("different_inputs", "the data does not have the same inputs and shapes as %s",
				sources[0].Origin(0).File).InFile(s.Origin(0).File)
		}
		heads = []map[string]*onnx.Tensor{head}
		c.starts = append(c.starts, c.starts[i]+s.Samples())
	}
	c.samples = whole(c.starts[len(sources)], c.BatchSize())
	return c, nil
}

func (c *concat) Samples() int   { return c.samples }
func (c *concat) BatchSize() int { return c.sources[0].BatchSize() }

// find returns the source of sample i and its first sample.
func (c *concat) find(i int) (k, start int) {
	k = sort.SearchInts(c.starts, i+1) - 1
	return k, c.starts[k]
}

func (c *concat) Origin(i int) Origin {
	k, start := c.find(i)
	o := c.sources[k].Origin(i - start)
	o.Source = k
	return o
}

func (c *concat) Labels() ([]int64, error) {
	var all []int64
	for _, s := range c.sources {
		labels, err := s.Labels()
		if err != nil {
			return nil, err
		}
		all = append(all, labels...)
	}
	return all[:c.samples], nil
}

func (c *concat) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	if err := checkRange(from, to, c.samples); err != nil {
		return nil, err
	}
	var parts []map[string]*onnx.Tensor
	for from < to {
		k, start := c.find(from)
		end := min(to, c.starts[k+1])
		part, err := c.sources[k].Batch(from-start, end-start)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		from = end
	}
	return stack(parts)
}

// stack joins feeds along the first axis. Names, types and other axes must agree.
func stack(parts []map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	if len(parts) == 1 {
		return parts[0], nil
	}
	out := map[string]*onnx.Tensor{}
	for name, first := range parts[0] {
		t := &onnx.Tensor{DType: first.DType, Dims: slices.Clone(first.Dims)}
		t.Dims[0] = 0
		for _, p := range parts {
			x := p[name]
			if x == nil || len(p) != len(parts[0]) || x.DType != t.DType || !slices.Equal(x.Dims[1:], t.Dims[1:]) {
				return nil, bad("different_inputs", "samples of different types or shapes cannot share a batch").AtValue(name)
			}
			t.Dims[0] += x.Dims[0]
			t.Raw = append(t.Raw, x.Raw...)
		}
		out[name] = t
	}
	return out, nil
}
