package refit

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// samplesPerWeight is how many positions a fit takes for each weight behind an output, if there are so many;
// minPositions the least. Narrow nodes, of which more cost little, take up to mostPositions: as many as make
// samplesTimesWeights with the weights behind an output (docs/refit.md).
var (
	samplesPerWeight    = 8
	minPositions        = 8000
	mostPositions       = 32000
	samplesTimesWeights = 8000 * 576
)

// problem is a node that is to be fitted, with what is known of it before anything runs. Two nodes whose sum is all that
// anyone reads are one problem, under the name of the later: both ends of a residual block with a projection.
type problem struct {
	Linear
	parts []part // the nodes, itself the last
	// Each of the groups has a system of its own, of o outputs on d inputs; most nodes have one group.
	groups, d, o int
	skip         string // the value that is added to the node's before the comparison, "" for none
	// dims are At's, as the sources have it, without the samples: [C, H, W], or [T, C]. sampled is false where
	// its first axis does not count samples: then every row is taken.
	dims    []int64
	sampled bool
	// activation is what is made of At before anything else sees it; nil for nothing.
	activation *activation
}

// part is a node of a problem, with d of its inputs, from the first on.
type part struct {
	Linear
	node     *onnx.Node
	kernel   kernel
	first, d int
}

// problemsOf describes the nodes that least squares does not leave alone, in their order.
func problemsOf(ix *onnx.Index, nodes []Linear) []*problem {
	var all []*problem
	for _, n := range nodes {
		p, ok := newProblem(ix, n)
		if !ok {
			continue
		}
		if k := slices.IndexFunc(all, func(q *problem) bool { return p.joins(ix, q) }); k >= 0 {
			p.join(all[k])
			all = slices.Delete(all, k, k+1)
		}
		all = append(all, p)
	}
	return all
}

// newProblem describes a node; ok is false for nodes that least squares leaves alone.
func newProblem(ix *onnx.Index, n Linear) (p *problem, ok bool) {
	p = &problem{Linear: n, groups: 1}
	node := ix.Producer(n.Node)
	if node == nil {
		return nil, false
	}
	kernel, ok := kernelOf(ix, node)
	if !ok {
		return nil, false
	}
	dims := ix.Initializer(n.Weight).GetDims()
	if kernel.groups > 1 {
		p.groups = int(kernel.groups)
	}
	p.d, p.o = kernel.inputs(dims), kernel.outputs(dims)/p.groups
	p.parts = []part{{Linear: n, node: node, kernel: kernel, d: p.d}}
	p.activation = activationOf(ix, p.At)
	return p, p.ownWeights(ix) && p.follow(ix)
}

// joins is true where q makes p's skip, for p alone: then none of p's inputs comes from q, and one system can tell what
// each of both should make of their sum.
func (p *problem) joins(ix *onnx.Index, q *problem) bool {
	return p.skip != "" && q.At == p.skip && q.skip == "" && len(ix.Uses(q.At)) == 1 && ix.Output(q.At) == nil &&
		p.groups == 1 && q.groups == 1 && p.o == q.o && p.channelsFirst() == q.channelsFirst() && p.noBias() == q.noBias()
}

// join takes q's nodes into p.
func (p *problem) join(q *problem) {
	p.skip = ""
	p.parts = append(q.parts, p.parts...)
	p.d = 0
	for k := range p.parts {
		p.parts[k].first = p.d
		p.d += p.parts[k].d
	}
}

// ownWeights is true where weights and bias are constants of this node alone.
func (p *problem) ownWeights(ix *onnx.Index) bool {
	if len(ix.Uses(p.Weight)) != 1 {
		return false
	}
	if p.Bias == "" {
		return true
	}
	size := 1
	for _, d := range ix.Initializer(p.Bias).GetDims() {
		size *= int(d)
	}
	return ix.Initializer(p.Bias) != nil && size == p.groups*p.o && len(ix.Uses(p.Bias)) == 1
}

// noBias is true of nodes that cannot have one.
func (p *problem) noBias() bool { return p.kernel().op == "MatMul" && p.Bias == "" }

// kernel is the last node's.
func (p *problem) kernel() kernel { return p.parts[len(p.parts)-1].kernel }

// follow finds what is added between the node and the comparison: a bias, which is fitted, or the skip of a
// residual sum.
func (p *problem) follow(ix *onnx.Index) bool {
	for v := p.Node; v != p.At; {
		uses := ix.Uses(v)
		if len(uses) != 1 || uses[0].Node.GetOpType() != "Add" {
			return false
		}
		add := uses[0].Node
		for _, in := range add.GetInput() {
			switch {
			case in == v || in == p.Bias:
			case p.skip != "" || ix.Initializer(in) != nil:
				return false
			default:
				p.skip = in
			}
		}
		v = add.GetOutput()[0]
	}
	return true
}

// channelsFirst is true where the sources' values are [N, C, …], not […, C].
func (p *problem) channelsFirst() bool { return p.kernel().op == "Conv" }

// positions is the number of positions in a sample.
func (p *problem) positions() int {
	dims := p.dims[:len(p.dims)-1]
	if p.channelsFirst() {
		dims = p.dims[1:]
	}
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	return n
}

// perSample is how many positions of each of so many samples a fit looks at, or, with half, a judgement: it takes half as many
// in all, since what it tells is limited by the samples, not by the positions.
func (p *problem) perSample(samples int, half bool) int {
	want := max(minPositions, samplesPerWeight*p.d, min(mostPositions, samplesTimesWeights/p.d))
	if half {
		want /= 2
	}
	return min(p.positions(), (want+samples-1)/samples)
}

// index picks the positions of a batch that a fit looks at: the same for every sample of the batch, others in
// the next batch, the same in every run. It is nil where all are taken.
func (p *problem) index(batch, samples int, half bool) []int64 {
	if !p.sampled {
		return nil
	}
	positions, perSample := p.positions(), p.perSample(samples, half)
	h := fnv.New64a()
	h.Write([]byte(p.Name))
	rng := rand.New(rand.NewPCG(h.Sum64(), uint64(batch)))
	index := make([]int64, perSample)
	for i, p := range rng.Perm(positions)[:perSample] {
		index[i] = int64(p)
	}
	slices.Sort(index)
	return index
}

// weights are the nodes' as they are now, by group and output in rows of inputs with the bias behind them:
// [groups, o, d+1], float32.
func (p *problem) weights(m *onnx.Model) ([]float32, error) {
	rows := p.groups * p.o
	out := make([]float32, rows*(p.d+1))
	for _, q := range p.parts {
		w, err := floatsOf(m, q.Weight)
		if err != nil {
			return nil, err
		}
		bias := make([]float32, rows)
		if q.Bias != "" {
			if bias, err = floatsOf(m, q.Bias); err != nil {
				return nil, err
			}
		}
		for i := range rows {
			row := out[i*(p.d+1):][:p.d+1]
			for j := range q.d {
				row[q.first+j] = w[q.at(i, j, p.o)]
			}
			row[p.d] += bias[i]
		}
	}
	return out, nil
}

// at is where the weight of output i and input j lies in the node's initializer, o being the number of outputs.
func (q part) at(i, j, o int) int {
	if q.kernel.inputsFirst() {
		return j*o + i
	}
	return i*q.d + j
}

func floatsOf(m *onnx.Model, name string) ([]float32, error) {
	t, err := onnx.TensorOf(find(m.Graph(), name))
	if err != nil {
		return nil, err
	}
	return t.Float32s()
}
