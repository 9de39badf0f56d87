package data

import (
	"sort"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// view is some samples of a source, in an order of its own.
type view struct {
	Source
	index []int // of sample i in Source
}

// newView rounds the index down to full batches and refuses an empty one.
func newView(src Source, index []int) (*view, error) {
	n := whole(len(index), src.BatchSize())
	if n == 0 {
		e := bad("few_samples", "%d of %d samples are too few", len(index), src.Samples())
		if b := src.BatchSize(); b > 1 {
			e.Message += ": the model takes batches"
		}
		return nil, e.InFile(src.Origin(0).File).WithHint("give more samples")
	}
	return &view{src, index[:n]}, nil
}

func (v *view) Samples() int        { return len(v.index) }
func (v *view) Origin(i int) Origin { return v.Source.Origin(v.index[i]) }

func (v *view) Labels() ([]int64, error) {
	all, err := v.Source.Labels()
	if err != nil {
		return nil, err
	}
	labels := make([]int64, len(v.index))
	for i, at := range v.index {
		labels[i] = all[at]
	}
	return labels, nil
}

// Batch reads each run of neighbours at once.
func (v *view) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	if err := checkRange(from, to, len(v.index)); err != nil {
		return nil, err
	}
	var parts []map[string]*onnx.Tensor
	for from < to {
		n := 1
		for from+n < to && v.index[from+n] == v.index[from]+n {
			n++
		}
		part, err := v.Source.Batch(v.index[from], v.index[from]+n)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		from += n
	}
	return stack(parts)
}

// Sample chooses at most n samples and shuffles them; n ≤ 0 stands for all. Each argument of the
// outermost Concat gives the same number, or all it has: every task weighs the same, however much data
// came with it. The choice depends on seed and the samples' positions only, now and in later versions.
func Sample(src Source, n int, seed uint64) (Source, error) {
	if n <= 0 {
		n = src.Samples()
	}
	keys := make([]uint64, src.Samples())
	groups := map[int][]int{}
	for i := range keys {
		keys[i] = splitmix(seed, uint64(i))
		k := src.Origin(i).Source
		groups[k] = append(groups[k], i)
	}
	byKey := func(index []int) func(a, b int) bool {
		return func(a, b int) bool { return keys[index[a]] < keys[index[b]] }
	}
	var strata [][]int
	for _, g := range groups {
		sort.Slice(g, byKey(g))
		strata = append(strata, g)
	}
	// Smallest first, so that what a small one cannot give is shared among the larger ones.
	sort.Slice(strata, func(a, b int) bool {
		if len(strata[a]) != len(strata[b]) {
			return len(strata[a]) < len(strata[b])
		}
		return strata[a][0] < strata[b][0]
	})
	var chosen []int
	for i, g := range strata {
		share := (n - len(chosen)) / (len(strata) - i)
		chosen = append(chosen, g[:min(share, len(g))]...)
	}
	sort.Slice(chosen, byKey(chosen))
	return newView(src, chosen)
}

// splitmix is output i of the generator SplitMix64 seeded with seed (Steele, Lea and Flood, "Fast
// splittable pseudorandom number generators", 2014), a bijection of i: keys are never equal.
func splitmix(seed, i uint64) uint64 {
	z := seed + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Pick is some samples of a source, in the order of index.
func Pick(src Source, index []int) (Source, error) { return newView(src, index) }

// Split holds one sample in every many out: those numbered every−1, 2·every−1, …. Both parts keep the
// order, and neither is empty. every below 2 is an error of kind fault.Usage.
func Split(src Source, every int) (rest, held Source, err error) {
	if every < 2 {
		return nil, nil, fault.New(fault.Usage, "bad_split", "one sample in %d cannot be held out", every)
	}
	var restIndex, heldIndex []int
	for i := range src.Samples() {
		if i%every == every-1 {
			heldIndex = append(heldIndex, i)
		} else {
			restIndex = append(restIndex, i)
		}
	}
	if rest, err = newView(src, restIndex); err != nil {
		return nil, nil, err
	}
	if held, err = newView(src, heldIndex); err != nil {
		return nil, nil, err
	}
	return rest, held, nil
}

// Halves splits labelled samples in two: of each class, every second one goes to the second half. Both halves keep the
// order.
func Halves(src Source, labels []int64) (first, second Source, err error) {
	var index [2][]int
	seen := map[int64]int{}
	for i, label := range labels {
		half := seen[label] % 2
		seen[label]++
		index[half] = append(index[half], i)
	}
	if first, err = newView(src, index[0]); err != nil {
		return nil, nil, err
	}
	if second, err = newView(src, index[1]); err != nil {
		return nil, nil, err
	}
	return first, second, nil
}
