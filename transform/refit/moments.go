package refit

import (
	"context"
	"slices"
	"sync"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// pairWalk is the merged network over some samples, with the sources' targets for the same samples.
type pairWalk struct {
	walk    *walk
	targets *targets
	columns *columnCache // of the node that is being fitted
}

// columnCache keeps the columns of a node for its next pass: cutting them out takes as long as a pass over them.
type columnCache struct {
	left  int64 // bytes that may still be kept
	mu    sync.Mutex
	kept  map[int][]float32
	whose *problem
}

// mostColumns is the most that is kept of columns, in bytes: those of a node with 1,800 inputs at 9,000 positions.
const mostColumns = 64 << 20

func (c *columnCache) get(q *problem, batch int) []float32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whose != q {
		c.left, c.kept, c.whose = mostColumns, map[int][]float32{}, q
	}
	return c.kept[batch]
}

func (c *columnCache) put(batch int, columns []float32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size := 4 * int64(len(columns)); size <= c.left {
		c.kept[batch], c.left = columns, c.left-size
	}
}

// batchSums are the engine's sums over the columns of a batch.
type batchSums struct {
	out   map[string]*onnx.Tensor
	count float64 // columns
}

// overBatches runs a graph of sums on every batch, and hands the results over in order, so that the number of
// workers changes nothing. more adds to the feeds.
func (p pairWalk) overBatches(ctx context.Context, m *onnx.Model, q *problem, more func(map[string]*onnx.Tensor), add func(batchSums) error) error {
	w, err := q.weights(p.walk.model)
	if err != nil {
		return err
	}
	s, err := p.walk.engine.Open(ctx, m, calibrate.SessionOptions{Threads: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	workers := p.walk.o.Workers
	run := func(ctx context.Context, batch int) (batchSums, error) {
		feeds, cols, err := p.feeds(q, batch, w)
		if err != nil {
			return batchSums{}, err
		}
		more(feeds)
		out, err := s.Run(ctx, inputsOf(m, feeds))
		return batchSums{out, float64(cols)}, err
	}
	return calibrate.InOrder(ctx, p.walk.batches(), workers, 2*workers, run, func(_ int, r batchSums) error { return add(r) })
}

// inputsOf are the feeds that a graph reads.
func inputsOf(m *onnx.Model, feeds map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	own := map[string]*onnx.Tensor{}
	for _, in := range m.Graph().GetInput() {
		own[in.GetName()] = feeds[in.GetName()]
	}
	return own
}

// feeds are the columns of a batch, what the sources make there, less the skip, and the node's weights; and the number
// of columns that count.
func (p pairWalk) feeds(q *problem, batch int, w []float32) (map[string]*onnx.Tensor, int, error) {
	index := q.index(batch, p.walk.samples(), p.targets.judges)
	columns, err := p.columnsOf(q, batch, index)
	if err != nil {
		return nil, 0, err
	}
	target, err := p.targets.get(q, batch)
	if err != nil {
		return nil, 0, err
	}
	r, err := p.withoutSkip(q, target, batch, index)
	if err != nil {
		return nil, 0, err
	}
	cols := len(columns) / (q.groups * (q.d + 1))
	if r.Len() != q.groups*q.o*cols {
		return nil, 0, fault.New(fault.Internal, "positions", "%d columns of inputs, %d targets for %d outputs",
			cols, r.Len(), q.groups*q.o).AtValue(q.At)
	}
	flat, _, err := r.ViewFloat32s()
	if err != nil {
		return nil, 0, err
	}
	count := cols
	m, err := p.walk.mask(batch)
	if err != nil {
		return nil, 0, err
	}
	if keep := q.kept(m, index, cols); keep != nil {
		flat = slices.Clone(flat) // it may be the store's
		clearColumns(flat, keep)
		count = clearColumns(columns, keep)
	}
	feeds := map[string]*onnx.Tensor{
		sumX: q.grouped(columns, q.d+1, cols), sumR: q.grouped(flat, q.o, cols), sumW: q.grouped(w, q.o, q.d+1),
	}
	if q.activation != nil {
		t, _, err := target.ViewFloat32s()
		if err != nil {
			return nil, 0, err
		}
		feeds[sumT] = q.grouped(t, q.o, cols)
	}
	return feeds, count, nil
}

// columnsOf are the columns of a batch.
func (p pairWalk) columnsOf(q *problem, batch int, index []int64) ([]float32, error) {
	if kept := p.columns.get(q, batch); kept != nil {
		return kept, nil
	}
	var inputs []*onnx.Tensor
	for _, part := range q.parts {
		x, err := p.walk.value(part.Input, batch)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, x)
	}
	columns, err := q.columns(inputs, index)
	if err == nil && p.walk.o.Mask == "" { // columns that do not count are cleared in place
		p.columns.put(batch, columns)
	}
	return columns, err
}

// withoutSkip subtracts what the merged network's skip really carries.
func (p pairWalk) withoutSkip(q *problem, target *onnx.Tensor, batch int, index []int64) (*onnx.Tensor, error) {
	if q.skip == "" {
		return target, nil
	}
	t, err := p.walk.value(q.skip, batch)
	if err != nil {
		return nil, err
	}
	r, err := q.pick(t, index)
	if err != nil {
		return nil, err
	}
	v, _, err := target.ViewFloat32s()
	if err != nil {
		return nil, err
	}
	for k := range r {
		r[k] = v[k] - r[k]
	}
	return onnx.OverFloat32(r, target.Dims...), nil
}

// grouped is a tensor of rows×columns, for each group where there are several.
func (q *problem) grouped(v []float32, rows, columns int) *onnx.Tensor {
	if q.groups == 1 {
		return onnx.OverFloat32(v, int64(rows), int64(columns))
	}
	return onnx.OverFloat32(v, int64(q.groups), int64(rows), int64(columns))
}

// normals sums up the normal equations of a node, one for each group.
func (p pairWalk) normals(ctx context.Context, q *problem) ([]*normal, error) {
	out := make([]*normal, q.groups)
	for g := range out {
		out[g] = newNormal(q.d, q.o)
		out[g].noBias = q.noBias()
	}
	blocks := gramBlocks(q.d, q.groups)
	err := p.overBatches(ctx, gramGraph(q.d, q.groups), q, cutRows(blocks), func(b batchSums) error {
		return addSums(out, blocks, b)
	})
	return out, err
}

// cutRows feeds the blocks of the columns' rows, all in x's own memory.
func cutRows(blocks []int) func(feeds map[string]*onnx.Tensor) {
	return func(feeds map[string]*onnx.Tensor) {
		x := feeds[sumX]
		if len(blocks) == 2 {
			return
		}
		cols := x.Dims[1]
		cut := func(from, to int) *onnx.Tensor {
			return &onnx.Tensor{DType: x.DType, Dims: []int64{int64(to - from), cols}, Raw: x.Raw[4*int(cols)*from : 4*int(cols)*to]}
		}
		for k := range len(blocks) - 1 {
			feeds[rowsName(k)] = cut(blocks[k], blocks[k+1])
			if k > 0 {
				feeds[tailName(k)] = cut(blocks[k], blocks[len(blocks)-1])
			}
		}
	}
}

// addSums adds a batch's sums, float32 inside it, in float64.
func addSums(systems []*normal, blocks []int, b batchSums) error {
	rx, _, err := b.out[sumRX].ViewFloat32s()
	if err != nil {
		return err
	}
	rr, _, err := b.out[sumRR].ViewFloat32s()
	if err != nil {
		return err
	}
	for g, m := range systems {
		m.n += b.count
		accumulate(m.rx, rx[g*len(m.rx):])
		accumulate(m.rr, rr[g*len(m.rr):])
	}
	for k := range len(blocks) - 1 {
		xx, _, err := b.out[blockName(k)].ViewFloat32s()
		if err != nil {
			return err
		}
		first, width := blocks[k], blocks[len(blocks)-1]
		for _, m := range systems {
			for i := first; i < blocks[k+1]; i++ {
				accumulate(m.xx[i*width+first:(i+1)*width], xx)
				xx = xx[width-first:]
			}
		}
	}
	return nil
}

// accumulate adds the first elements of v to total.
func accumulate(total []float64, v []float32) {
	v = v[:len(total)]
	for k, x := range v {
		total[k] += float64(x)
	}
}

// judge returns, for each correction and group, the mean squared error that it leaves, summed over the group's
// outputs; behind the activation, where there is one.
func (p pairWalk) judge(ctx context.Context, q *problem, tries [][]*correction) ([][]float64, error) {
	flat := make([]float32, 0, len(tries)*q.groups*q.o*(q.d+1))
	for _, try := range tries {
		for _, c := range try {
			flat = c.append(flat, q.d, q.o)
		}
	}
	dims := []int64{int64(len(tries)), int64(q.groups), int64(q.o), int64(q.d + 1)}
	if q.groups == 1 {
		dims = append(dims[:1], dims[2:]...)
	}
	sum, n := make([]float64, len(tries)*q.groups), 0.0
	corrections := onnx.OverFloat32(flat, dims...)
	more := func(feeds map[string]*onnx.Tensor) { feeds[sumD] = corrections }
	graph := judgeGraph(q.groups)
	if q.activation != nil {
		graph = q.activatedJudgeGraph(p.walk.model.Opset(""))
	}
	err := p.overBatches(ctx, graph, q, more, func(b batchSums) error {
		v, _, err := b.out[sumError].ViewFloat32s()
		if err != nil {
			return err
		}
		n += b.count
		accumulate(sum, v)
		return nil
	})
	out := make([][]float64, len(tries))
	for k := range out {
		for g := range q.groups {
			out[k] = append(out[k], sum[k*q.groups+g]/max(n, 1))
		}
	}
	return out, err
}
