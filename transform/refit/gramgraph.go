package refit

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Names in the graphs that sum over the columns of a batch. Where a node has several groups, every tensor of
// them has an axis for the groups in front.
const (
	sumX     = "x" // columns: [d+1, columns]
	sumR     = "r" // target − skip: [O, columns]
	sumW     = "w" // the node's weights: [O, d+1]
	sumD     = "d" // judge: corrections to be tried, [tries, O, d+1]
	sumXX    = "xx"
	sumRX    = "rx"  // Σ e x̃ᵀ: [O, d+1], e = r − w·x̃ being what the node leaves
	sumRR    = "rr"  // Σ e²: [O]
	sumError = "err" // judge: Σ (e − d·x̃)² for each try
)

// gramBlock is the number of rows from which Σ x̃x̃ᵀ is made in blocks, of which only those on and above the
// diagonal are computed.
const gramBlock = 384

// gramBlocks divides d+1 rows: row k of the product's blocks begins at the k-th entry. The last entry is d+1.
func gramBlocks(d, groups int) []int {
	n := 1
	if groups == 1 {
		n = (d + gramBlock) / gramBlock
	}
	var at []int
	for k := range n + 1 {
		at = append(at, k*(d+1)/n)
	}
	return at
}

func rowsName(k int) string  { return fmt.Sprintf("rows/%d", k) }      // rows of x in block k
func tailName(k int) string  { return fmt.Sprintf("tail/%d", k) }      // rows of x from block k on
func blockName(k int) string { return fmt.Sprintf("%s/%d", sumXX, k) } // their product

// gramGraph sums up the normal equations: Σ x̃x̃ᵀ (by rows of blocks), Σ e x̃ᵀ and Σ e².
func gramGraph(d, groups int) *onnx.Model {
	b := newGraphBuilder("moments", groups, sumX, sumR, sumW)
	e := b.node("Sub", []string{sumR, b.node("MatMul", []string{sumW, sumX})})
	xt := b.transpose(sumX)
	b.output(sumRX, b.node("MatMul", []string{e, xt}))
	b.output(sumRR, b.sumSquares(e, -1))
	blocks := gramBlocks(d, groups)
	for k := range len(blocks) - 1 {
		if len(blocks) == 2 {
			b.output(blockName(k), b.node("MatMul", []string{sumX, xt}))
			continue
		}
		b.input(rowsName(k))
		tail := sumX
		if k > 0 {
			tail = tailName(k)
			b.input(tail)
		}
		b.output(blockName(k), b.node("MatMul", []string{rowsName(k), b.transpose(tail)}))
	}
	return b.model()
}

// judgeGraph sums up the squared error that each of several corrections would leave.
func judgeGraph(groups int) *onnx.Model {
	b := newGraphBuilder("judge", groups, sumX, sumR, sumW, sumD)
	e := b.node("Sub", []string{sumR, b.node("MatMul", []string{sumW, sumX})})
	left := b.node("Sub", []string{e, b.node("MatMul", []string{sumD, sumX})})
	b.output(sumError, b.sumSquares(left, -2, -1))
	return b.model()
}

// graphBuilder collects nodes.
type graphBuilder struct {
	g      *onnx.Graph
	prefix string // of the names that it makes up
	count  int
	groups int
}

func newGraphBuilder(name string, groups int, inputs ...string) *graphBuilder {
	b := &graphBuilder{g: &onnx.Graph{Name: proto.String(name)}, groups: groups}
	for _, in := range inputs {
		b.input(in)
	}
	return b
}

func (b *graphBuilder) input(name string) {
	b.g.Input = append(b.g.Input, onnx.NewValueInfo(name, onnx.Float, nil))
}

func (b *graphBuilder) output(name, value string) {
	b.g.Node = append(b.g.Node, onnx.NewNode("Identity", name, []string{value}, []string{name}))
	b.g.Output = append(b.g.Output, onnx.NewValueInfo(name, onnx.Float, nil))
}

func (b *graphBuilder) node(op string, inputs []string, attrs ...*onnx.Attribute) string {
	b.count++
	out := fmt.Sprintf("%sv%d", b.prefix, b.count)
	b.g.Node = append(b.g.Node, onnx.NewNode(op, out, inputs, []string{out}, attrs...))
	return out
}

func (b *graphBuilder) ints(v ...int64) string {
	b.count++
	name := fmt.Sprintf("%sc%d", b.prefix, b.count)
	b.g.Initializer = append(b.g.Initializer, onnx.FromInt64(v, int64(len(v))).Proto(name))
	return name
}

// transpose swaps the last two axes; ONNX Runtime fuses it into the product behind.
func (b *graphBuilder) transpose(x string) string {
	perm := []int64{1, 0}
	if b.groups > 1 {
		perm = []int64{0, 2, 1}
	}
	return b.node("Transpose", []string{x}, onnx.Ints("perm", perm...))
}

func (b *graphBuilder) sumSquares(x string, axes ...int64) string {
	square := b.node("Mul", []string{x, x}) // ReduceSumSquare is slower: its kernel is not vectorised
	return b.node("ReduceSum", []string{square, b.ints(axes...)}, onnx.Int("keepdims", 0))
}

// helperOpset is that of the helper graphs, whatever the model's own.
const helperOpset = 17

func (b *graphBuilder) model() *onnx.Model { return b.modelFor(helperOpset) }

// modelFor is the model with nodes of a model of that opset in it. What activations are made of is the same in every opset up to
// the helper graphs' own.
func (b *graphBuilder) modelFor(opset int64) *onnx.Model {
	return &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion:   proto.Int64(8),
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(max(opset, helperOpset))}},
		Graph:       b.g,
	}}
}
