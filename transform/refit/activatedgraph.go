package refit

import "github.com/onnx-zip/onnx-zip/onnx"

// sumT is what graphs that look behind an activation are fed in addition: the target, [O, columns].
const sumT = "t"

// activatedGraph sums up Σ e′x̃ᵀ, where e′ = φ(t) − φ(p) is what is left behind the activation φ: t is the target, p what the
// node makes with its weights.
func (q *problem) activatedGraph(opset int64) *onnx.Model {
	b := newGraphBuilder("activated", q.groups, sumX, sumR, sumW, sumT)
	e := b.node("Sub", []string{sumR, b.node("MatMul", []string{sumW, sumX})})
	left := b.node("Sub", []string{q.activation.apply(b, sumT), q.activation.apply(b, b.node("Sub", []string{sumT, e}))})
	b.output(sumRX, b.node("MatMul", []string{left, b.transpose(sumX)}))
	return b.modelFor(opset)
}

// activatedJudgeGraph is judgeGraph behind the activation.
func (q *problem) activatedJudgeGraph(opset int64) *onnx.Model {
	b := newGraphBuilder("judge", q.groups, sumX, sumR, sumW, sumD, sumT)
	e := b.node("Sub", []string{sumR, b.node("MatMul", []string{sumW, sumX})})
	left := b.node("Sub", []string{e, b.node("MatMul", []string{sumD, sumX})})
	seen := b.node("Sub", []string{q.activation.apply(b, sumT), q.activation.apply(b, b.node("Sub", []string{sumT, left}))})
	b.output(sumError, b.sumSquares(seen, -2, -1))
	return b.modelFor(opset)
}
