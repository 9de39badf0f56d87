package refit

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// samplesPerWeight is how many positions a fit takes for each weight behind an output, if there are so many;
// minPositions the least. Beyond about sixteen the result does not change (docs/refit.md).
const (
	samplesPerWeight = 12
	minPositions     = 8000
)

// side is the merged network and the sources over the same samples.
type pairWalk struct{ merged, truth *walk }

// normals sums up the normal equations of a node over all samples of a pair of walks. Depthwise nodes have
// one system for each channel.
func (p pairWalk) normals(ctx context.Context, e calibrate.Engine, n Linear, k kernel, dims []int64) ([]*normal, error) {
	systems, d, o := 1, k.inputs(dims), outputs(k, dims)
	if k.depthwise() {
		systems, o = int(k.groups), 1
	}
	out := make([]*normal, systems)
	for i := range out {
		out[i] = newNormal(d, o)
	}
	var session calibrate.Session
	defer func() {
		if session != nil {
			session.Close()
		}
	}()
	want := max(minPositions, samplesPerWeight*d)
	// Batches are summed up in order, a few at a time, so that the number of workers changes nothing.
	for from := 0; from < p.merged.batches(); from += p.merged.o.Workers {
		to := min(from+p.merged.o.Workers, p.merged.batches())
		results := make([]map[string]*onnx.Tensor, to-from)
		counts := make([]float64, to-from)
		if session == nil {
			x, err := p.merged.value(n.Input, 0)
			if err != nil {
				return nil, err
			}
			if session, err = e.Open(ctx, gramGraph(k, x.DType, len(x.Dims)), calibrate.SessionOptions{Threads: 1}); err != nil {
				return nil, err
			}
		}
		err := p.merged.eachOf(from, to, func(b int) error {
			r, count, err := p.sumBatch(ctx, session, n, k, b, want)
			results[b-from], counts[b-from] = r, count
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := range results {
			if err := addSums(out, results[i], counts[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func outputs(k kernel, dims []int64) int {
	switch {
	case k.op == "Gemm" && !k.transB, k.op == "MatMul":
		return int(dims[1])
	}
	return int(dims[0])
}

// sumBatch runs the moment graph on one batch.
func (p pairWalk) sumBatch(ctx context.Context, s calibrate.Session, n Linear, k kernel, b, want int) (map[string]*onnx.Tensor, float64, error) {
	x, err := p.merged.value(n.Input, b)
	if err != nil {
		return nil, 0, err
	}
	z, target, err := pairOf(p.merged, p.truth, n.At, n.Axis, n.Target, b)
	if err != nil {
		return nil, 0, err
	}
	at, err := p.merged.value(n.At, b)
	if err != nil {
		return nil, 0, err
	}
	for i := range target.v {
		target.v[i] -= z.v[i]
	}
	r := onnx.FromFloat32(target.v, at.Dims...)
	if x.DType != onnx.Float {
		f, err := r.Float64s()
		if err != nil {
			return nil, 0, err
		}
		r = onnx.FromFloat64(x.DType, f, at.Dims...)
	}
	feeds := map[string]*onnx.Tensor{gramX: x, gramR: r}
	count := float64(len(target.v) / target.channels)
	if k.op == "Conv" {
		index := samplePositions(n.Name, b, z.inner, int(at.Dims[0]), p.merged.src.Samples(), want)
		feeds[gramP] = onnx.FromInt64(index, int64(len(index)))
		count = float64(len(index)) * float64(at.Dims[0])
	}
	out, err := s.Run(ctx, feeds)
	return out, count, err
}

// samplePositions picks the positions of a batch's maps that a fit looks at: the same for every sample of the
// batch, others in the next batch, the same in every run.
func samplePositions(name string, batch, positions, samples, all, want int) []int64 {
	perSample := min(positions, (want+all-1)/all)
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(h.Sum64(), uint64(batch)))
	index := make([]int64, perSample)
	for i, p := range rng.Perm(positions)[:perSample] {
		index[i] = int64(p)
	}
	slices.Sort(index)
	return index
}

// addSums adds a batch's sums, float32 inside it, in float64.
func addSums(systems []*normal, sums map[string]*onnx.Tensor, count float64) error {
	for name, pick := range map[string]func(*normal) []float64{
		gramXX: func(m *normal) []float64 { return m.xx },
		gramRX: func(m *normal) []float64 { return m.rx },
		gramRR: func(m *normal) []float64 { return m.rr },
	} {
		v, err := sums[name].Float32s()
		if err != nil {
			return err
		}
		for i, m := range systems {
			total := pick(m)
			if len(v) != len(total)*len(systems) {
				return fault.New(fault.Internal, "moments", "%d sums %q for %d systems of %d", len(v), name, len(systems), len(total))
			}
			for j, x := range v[i*len(total) : (i+1)*len(total)] {
				total[j] += float64(x)
			}
		}
	}
	for _, m := range systems {
		m.n += count
	}
	return nil
}
