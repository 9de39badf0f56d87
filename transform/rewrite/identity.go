package rewrite

import (
	"math"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// passers lists the operators that may pass their first input on unchanged, and tells when they do. Where
// shapes or constants leave it open, they do not.
var passers = map[string]func(e *editor, n *onnx.Node) bool{
	"Identity":  func(*editor, *onnx.Node) bool { return true },
	"Dropout":   passesDropout,
	"Cast":      passesCast,
	"Transpose": passesTranspose,
	"Reshape":   passesReshape,
	"Flatten":   passesFlatten,
	"Pad":       passesPad,
	"Slice":     passesSlice,
	"Add":       addsNothing(0), "Sub": addsNothing(0), "Mul": addsNothing(1), "Div": addsNothing(1),
	"Concat": hasOneInput,
	"Sum":    hasOneInput,
	"Mean":   hasOneInput,
	"Max":    hasOneInput,
	"Min":    hasOneInput,
}

// dropIdentities takes out nodes that pass their input on unchanged. Graph outputs keep their names: where
// such a node makes one, the node before it makes it instead, and where there is none it stays. An Identity that
// hands out what is read on (handOut) stays too.
func dropIdentities(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		passes := passers[n.GetOpType()]
		if passes == nil || !isStandard(n) || input(n, 0) == "" || !passes(e, n) {
			continue
		}
		if e.handsOut(n) && e.readOn(n.Input[0]) {
			continue
		}
		if e.bypass(n) {
			r.did(n.GetOpType() + " dropped")
		}
	}
	e.close()
	return nil
}

// bypass takes n out, its first input standing for its first output from now on. False where a name
// would be lost.
func (e *editor) bypass(n *onnx.Node) bool {
	in, out := n.Input[0], n.Output[0]
	if e.redirect(out, in) {
		e.replace(n)
		return true
	}
	maker := e.producer[in]
	if maker == nil || e.outputs[in] || e.captured(in) {
		return false
	}
	e.replace(n)
	for slot, v := range maker.Output {
		if v == in {
			maker.Output[slot] = out
		}
	}
	delete(e.producer, in)
	e.producer[out] = maker
	return e.redirect(in, out)
}

// passesDropout: before opset 7 inference was an attribute, from 12 on it is an input.
func passesDropout(e *editor, n *onnx.Node) bool {
	if len(n.GetOutput()) > 1 && !e.unread(n.Output[1]) {
		return false
	}
	if e.opset() < 7 {
		return onnx.AttrInt(n, "is_test", 0) == 1
	}
	mode := input(n, 2)
	if _, ratio, ok := e.floats(input(n, 1)); mode == "" || ok && len(ratio) == 1 && ratio[0] == 0 {
		return true // not in training, or nothing is dropped
	}
	training, ok := e.ints(mode)
	return ok && len(training) == 1 && training[0] == 0
}

func passesCast(e *editor, n *onnx.Node) bool {
	to := onnx.DType(onnx.AttrInt(n, "to", 0))
	return to != onnx.Undefined && e.value(n.Input[0]).DType == to
}

func passesTranspose(e *editor, n *onnx.Node) bool {
	perm := onnx.AttrInts(n, "perm")
	if len(perm) == 0 {
		rank := e.rank(n.Input[0])
		return rank == 0 || rank == 1
	}
	for i, p := range perm {
		if int(p) != i {
			return false
		}
	}
	return true
}

// passesReshape: every entry of the target is the input's size in that place, one left open.
func passesReshape(e *editor, n *onnx.Node) bool {
	target, ok := e.ints(input(n, 1))
	v := e.value(n.Input[0])
	if !ok || !v.HasRank || len(v.Dims) != len(target) {
		return false
	}
	open := 0
	for i, t := range target {
		switch {
		case t == -1:
			open++
		case t == 0 && onnx.AttrInt(n, "allowzero", 0) == 0, v.Dims[i].Is(t):
		default:
			return false
		}
	}
	return open <= 1
}

func passesFlatten(e *editor, n *onnx.Node) bool {
	axis := onnx.AttrInt(n, "axis", 1)
	return e.rank(n.Input[0]) == 2 && (axis == 1 || axis == -1)
}

func passesPad(e *editor, n *onnx.Node) bool {
	pads, given, ok := e.list(n, "pads", 1)
	return given && ok && all(pads, 0)
}

// passesSlice: every sliced axis is taken whole, step by step.
func passesSlice(e *editor, n *onnx.Node) bool {
	starts, _, okS := e.list(n, "starts", 1)
	ends, _, okE := e.list(n, "ends", 2)
	axes, givenA, okA := e.list(n, "axes", 3)
	steps, givenT, okT := e.list(n, "steps", 4)
	v := e.value(n.Input[0])
	if !okS || !okE || !okA || !okT || !v.HasRank || len(starts) != len(ends) || givenT && !all(steps, 1) {
		return false
	}
	for i, start := range starts {
		axis := int64(i)
		if givenA {
			axis = axes[i]
		}
		if axis < 0 {
			axis += int64(len(v.Dims))
		}
		if axis < 0 || axis >= int64(len(v.Dims)) || start != 0 {
			return false
		}
		if d := v.Dims[axis]; ends[i] != math.MaxInt64 && (!d.Known() || ends[i] < d.Size) {
			return false
		}
	}
	return len(starts) > 0
}

// addsNothing: the second operand is the neutral number, and does not spread the first.
func addsNothing(neutral float64) func(*editor, *onnx.Node) bool {
	return func(e *editor, n *onnx.Node) bool {
		t, v, ok := e.floats(input(n, 1))
		return ok && len(v) == 1 && v[0] == neutral && len(t.Dims) <= e.rank(n.Input[0])
	}
}

func hasOneInput(_ *editor, n *onnx.Node) bool { return len(n.GetInput()) == 1 }
