package transform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"pgregory.net/rapid"
)

// step is one building block of a random network. Each is written for a state of n channels and s×s
// positions, and says whether it can stand there.
type step struct {
	name string
	fits func(w *writer) bool
	add  func(w *writer, a, b int) // a and b are random numbers, equal for all renderings of a network
}

// plan is a network without its weights: what all models of one architecture have in common.
type plan struct {
	steps []step
	rand  [][2]int
	tail  int // how images become vectors
}

// style is what may differ between two models of one architecture.
type style struct {
	seed    int64
	prefix  string // of all names
	classes int    // of the head
	swap    bool   // the operands of Add and Mul
	reverse bool   // the initializers' order
	dtype   string
	wide    int // another width of every layer for each number, 0 for the plan's own
}

// writer renders a plan as text in the notation of onnxtest.
type writer struct {
	style
	inits, nodes []string
	count        int
	layers       int    // that make features, so far
	cur          string // the current value
	n, s         int    // its channels and positions
	doubled      bool   // features have two channels, or lie in groups: cutting between them, or a tie to single ones, pins them
}

func (w *writer) name(kind string) string {
	w.count++
	return fmt.Sprintf("%s%s%d", w.prefix, kind, w.count)
}

// features is how many features a layer makes, of which the plan has m.
func (w *writer) features(m int) int {
	w.layers++
	return m + w.wide*w.layers%4
}

// init declares random weights.
func (w *writer) init(dims string, bounds ...float64) string {
	name := w.name("w")
	args := fmt.Sprint(w.seed*1000 + int64(w.count))
	for _, b := range bounds {
		args += fmt.Sprint(", ", b)
	}
	w.inits = append(w.inits, fmt.Sprintf("%s = init %s[%s] random(%s)", name, w.dtype, dims, args))
	return name
}

func (w *writer) ints(v ...int) string {
	name := w.name("i")
	w.inits = append(w.inits, fmt.Sprintf("%s = init i64[%d]{%s}", name, len(v), strings.Trim(strings.Join(strings.Fields(fmt.Sprint(v)), ","), "[]")))
	return name
}

// op adds a node and returns its (first) output.
func (w *writer) op(op, inputs, attrs string) string {
	out := w.name("v")
	if ins := strings.Split(inputs, ", "); w.swap && (op == "Add" || op == "Mul") && len(ins) == 2 {
		inputs = ins[1] + ", " + ins[0]
	}
	w.nodes = append(w.nodes, fmt.Sprintf("%s = %s(%s) {%s}", out, op, inputs, attrs))
	return out
}

// conv makes n features of a value, by a window of k×k.
func (w *writer) conv(from string, in, n, k int) string {
	weights := w.init(fmt.Sprintf("%d,%d,%d,%d", n, in, k, k))
	bias := w.init(fmt.Sprint(n), -0.5, 0.5)
	return w.op("Conv", from+", "+weights+", "+bias, fmt.Sprintf("kernel_shape=[%[1]d,%[1]d], pads=[%[2]d,%[2]d,%[2]d,%[2]d]", k, k/2))
}

func always(*writer) bool { return true }

func single(w *writer) bool { return !w.doubled }

// zipSteps leave every space free to be zipped.
var zipSteps = []step{
	{"conv", always, func(w *writer, a, b int) {
		m := w.features(2 + a%5)
		w.cur, w.n, w.doubled = w.conv(w.cur, w.n, m, 1+2*(b%2)), m, false
	}},
	{"activation", always, func(w *writer, a, b int) {
		w.cur = w.op([]string{"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Softplus"}[a%6], w.cur, "")
	}},
	{"prelu", always, func(w *writer, a, b int) {
		w.cur = w.op("PRelu", w.cur+", "+w.init(fmt.Sprintf("%d,1,1", w.n), 0.1, 0.4), "")
	}},
	{"affine", always, func(w *writer, a, b int) {
		r := w.op("Tanh", w.cur, "") // else it would be folded into a convolution before
		m := w.op("Mul", r+", "+w.init(fmt.Sprintf("%d,1,1", w.n), 0.5, 1.5), "")
		w.cur = w.op("Add", m+", "+w.init(fmt.Sprintf("1,%d,1,1", w.n), -1, 1), "")
	}},
	{"instance norm", always, func(w *writer, a, b int) {
		w.cur = w.op("InstanceNormalization", w.cur+", "+w.init(fmt.Sprint(w.n), 0.5, 1.5)+", "+w.init(fmt.Sprint(w.n), -1, 1), "epsilon=0.1") // a channel that hardly varies must not amplify rounding
	}},
	{"depthwise", always, func(w *writer, a, b int) {
		m := 1 + a%2
		w.doubled = w.doubled || m > 1
		weights, bias := w.init(fmt.Sprintf("%d,1,3,3", w.n*m)), w.init(fmt.Sprint(w.n*m), -0.5, 0.5)
		w.cur, w.n = w.op("Conv", w.cur+", "+weights+", "+bias, fmt.Sprintf("group=%d, kernel_shape=[3,3], pads=[1,1,1,1]", w.n)), w.n*m
	}},
	{"residual", single, func(w *writer, a, b int) {
		m := w.features(2 + a%4)
		r := w.op("Relu", w.conv(w.cur, w.n, m, 3), "")
		w.cur = w.op("Add", w.cur+", "+w.conv(r, m, w.n, 1+2*(b%2)), "")
	}},
	{"dense", single, func(w *writer, a, b int) {
		m := w.features(1 + a%3)
		c := w.op("Relu", w.conv(w.cur, w.n, m, 3), "")
		w.cur, w.n = w.op("Concat", w.cur+", "+c, "axis=1"), w.n+m
	}},
	{"padded shortcut", single, func(w *writer, a, b int) {
		before, behind := a%3*w.features(1), b%3*w.features(1)
		p := w.op("Pad", w.cur+", "+w.ints(0, before, 0, 0, 0, behind, 0, 0), "")
		w.cur = w.op("Add", p+", "+w.conv(w.cur, w.n, w.n+before+behind, 3), "")
		w.n += before + behind
	}},
	{"pool", func(w *writer) bool { return w.s >= 4 }, func(w *writer, a, b int) {
		w.cur = w.op([]string{"MaxPool", "AveragePool"}[a%2], w.cur, "kernel_shape=[2,2], strides=[2,2]")
		w.s /= 2
	}},
	{"squeeze and excitation", single, func(w *writer, a, b int) {
		m := w.features(1 + a%3)
		s := w.op("Relu", w.conv(w.op("GlobalAveragePool", w.cur, ""), w.n, m, 1), "")
		w.cur = w.op("Mul", w.cur+", "+w.op("Sigmoid", w.conv(s, m, w.n, 1), ""), "")
	}},
	{"skip over a bottleneck", func(w *writer) bool { return w.s >= 4 }, func(w *writer, a, b int) {
		m := w.features(2 + a%3)
		d := w.op("Relu", w.conv(w.op("MaxPool", w.cur, "kernel_shape=[2,2], strides=[2,2]"), w.n, m, 3), "")
		var u string
		switch b % 3 {
		case 0:
			u = w.op("ConvTranspose", d+", "+w.init(fmt.Sprintf("%d,%d,2,2", m, m))+", "+w.init(fmt.Sprint(m), -1, 1), "strides=[2,2]")
		case 1:
			w.inits = append(w.inits, w.name("sc")+" = init f32[4]{1,1,2,2}")
			u = w.op("Resize", d+", _, "+fmt.Sprintf("%ssc%d", w.prefix, w.count), `mode="nearest"`)
		default:
			u = w.op("Resize", d+", _, _, "+w.ints(4, m, w.s, w.s), `mode="nearest"`) // names the channel count
		}
		w.cur, w.n = w.op("Concat", u+", "+w.cur, "axis=1"), w.n+m
	}},
	{"gated unit", func(w *writer) bool { return w.n%2 == 0 && !w.doubled }, func(w *writer, a, b int) {
		x, y := w.name("v"), w.name("v")
		sizes := ""
		if a%2 == 0 {
			sizes = ", " + w.ints(w.n/2, w.n/2)
		}
		w.nodes = append(w.nodes, fmt.Sprintf("%s, %s = Split(%s%s) {axis=1}", x, y, w.cur, sizes))
		w.cur, w.n = w.op("Mul", x+", "+w.op("Sigmoid", y, ""), ""), w.n/2
	}},
	{"slice", func(w *writer) bool { return w.n > 2 && !w.doubled }, func(w *writer, a, b int) {
		w.cur = w.op("Slice", w.cur+", "+w.ints(1)+", "+w.ints(w.n+a%2)+", "+w.ints(1), "")
		w.n--
	}},
	{"shuffle", single, func(w *writer, a, b int) {
		order := make([]int, w.n)
		for k := range order {
			order[k] = (k + a) % w.n
		}
		w.cur = w.op("Gather", w.cur+", "+w.ints(order...), "axis=1")
	}},
	{"shuffled units", func(w *writer) bool { return w.n >= 4 && w.n%2 == 0 && !w.doubled }, func(w *writer, a, b int) {
		half := w.n / 2
		for range 1 + a%2 {
			x := w.op("Slice", w.cur+", "+w.ints(0)+", "+w.ints(half)+", "+w.ints(1), "")
			y := w.op("Slice", w.cur+", "+w.ints(half)+", "+w.ints(w.n)+", "+w.ints(1), "")
			c := w.op("Concat", x+", "+w.op("Relu", w.conv(y, half, half, 1+2*(b%2)), ""), "axis=1")
			parts := w.op("Transpose", w.op("Reshape", c+", "+w.ints(0, 2, half, -1), ""), "perm=[0,2,1,3]")
			w.cur = w.op("Reshape", parts+", "+w.ints(0, w.n, w.s, w.s), "")
		}
		w.cur, w.n = w.conv(w.cur, w.n, 2+b%5, 1), 2+b%5 // its filters take the order
	}},
	{"reflect", func(w *writer) bool { return w.s >= 2 }, func(w *writer, a, b int) {
		p := w.op("Pad", w.cur+", "+w.ints(0, 0, 1, 0, 0, 0, 0, 1), `mode="reflect"`)
		w.cur = w.op("MaxPool", p, "kernel_shape=[2,2], strides=[1,1]")
	}},
}

// permuteSteps bind a space to permutations.
var permuteSteps = []step{
	{"attention", single, attention},
	{"grouped", always, grouped},
	{"group norm", always, groupNorm},
	{"grouped-query attention", single, groupedQueries},
	{"softmax over channels", always, func(w *writer, a, b int) { w.cur = w.op("Softmax", w.cur, "axis=1") }},
	{"mean over channels", always, func(w *writer, a, b int) {
		w.cur = w.op("Sub", w.cur+", "+w.op("ReduceMean", w.cur, "axes=[1]"), "")
	}},
	{"spatial attention", always, func(w *writer, a, b int) {
		w.cur = w.op("Mul", w.cur+", "+w.op("Sigmoid", w.conv(w.cur, w.n, 1, 3), ""), "")
	}},
}

// grouped is a convolution of 2 or 3 groups behind a dense one: 2 channels in each group before it, 1 to 3 behind.
func grouped(w *writer, a, b int) {
	groups, inside := 2+a%2, 1+b%3
	in, out := groups*2, groups*inside
	h := w.op("Tanh", w.conv(w.cur, w.n, in, 1), "")
	w.doubled = true // cutting between the groups pins them
	bias := w.init(fmt.Sprint(out), -0.5, 0.5)
	if a%4 < 2 {
		w.cur, w.n = w.op("Conv", h+", "+w.init(fmt.Sprintf("%d,2,3,3", out))+", "+bias, fmt.Sprintf("group=%d, kernel_shape=[3,3], pads=[1,1,1,1]", groups)), out
	} else {
		w.cur, w.n = w.op("ConvTranspose", h+", "+w.init(fmt.Sprintf("%d,%d,1,1", in, inside))+", "+bias, fmt.Sprintf("group=%d", groups)), out
	}
	if b%2 == 0 && out == in { // behind a residual sum both sides are one space
		w.cur = w.op("Add", w.cur+", "+h, "")
	}
}

// groupNorm is GroupNorm of 2 or 3 groups as PyTorch exports it, behind a convolution.
func groupNorm(w *writer, a, b int) {
	groups := 2 + a%2
	n := groups * (2 + b%2)
	w.cur, w.n, w.doubled = w.op("Tanh", w.conv(w.cur, w.n, n, 3), ""), n, true
	r := w.op("Reshape", w.cur+", "+w.ints(4, groups, n/groups*w.s*w.s), "")
	r = w.op("InstanceNormalization", r+", "+w.init(fmt.Sprint(groups), 0.5, 1.5)+", "+w.init(fmt.Sprint(groups), -1, 1), "epsilon=0.1")
	r = w.op("Mul", w.op("Reshape", r+", "+w.ints(4, n, w.s, w.s), "")+", "+w.init(fmt.Sprintf("%d,1,1", n), 0.5, 1.5), "")
	w.cur = w.op("Add", r+", "+w.init(fmt.Sprintf("%d,1,1", n), -1, 1), "")
}

// linear makes n features of tokens.
func (w *writer) linear(from string, in, n int) string {
	m := w.op("MatMul", from+", "+w.init(fmt.Sprintf("%d,%d", in, n)), "")
	return w.op("Add", m+", "+w.init(fmt.Sprint(n), -0.5, 0.5), "")
}

// attention lets the positions look at each other, in 2 heads of 3 features.
func attention(w *writer, a, b int) {
	const heads, inside = 2, 3
	positions := w.s * w.s
	tokens := w.op("Transpose", w.op("Reshape", w.cur+", "+w.ints(4, w.n, positions), ""), "perm=[0,2,1]")
	split := func(perm string) string {
		h := w.op("Reshape", w.linear(tokens, w.n, heads*inside)+", "+w.ints(4, positions, heads, inside), "")
		if a%3 == 0 { // a scale for the features inside, the same for all heads
			h = w.op("Mul", h+", "+w.init(fmt.Sprint(inside), 0.5, 1.5), "")
		}
		return w.op("Transpose", h, "perm="+perm)
	}
	q, k, v := split("[0,2,1,3]"), split("[0,2,3,1]"), split("[0,2,1,3]")
	p := w.op("Softmax", w.op("MatMul", q+", "+k, ""), "axis=-1")
	o := w.op("Transpose", w.op("MatMul", p+", "+v, ""), "perm=[0,2,1,3]")
	o = w.linear(w.op("Reshape", o+", "+w.ints(4, positions, heads*inside), ""), heads*inside, w.n)
	if b%2 == 0 {
		o = w.op("LayerNormalization", w.op("Add", o+", "+tokens, "")+", "+w.init(fmt.Sprint(w.n), 0.5, 1.5)+", "+w.init(fmt.Sprint(w.n), -1, 1), "axis=-1")
	}
	w.cur = w.op("Reshape", w.op("Transpose", o, "perm=[0,2,1]")+", "+w.ints(4, w.n, w.s, w.s), "")
}

// groupedQueries is an attention of 4 or 6 query heads of 4 features, of which 2 or 3 share a head of keys and
// values. The halves of a head may be treated differently, as rotary embeddings do.
func groupedQueries(w *writer, a, b int) {
	const inside = 4
	copies, shared := 2+a%2, 2
	if a%4 == 0 { // one head of keys for all
		shared = 1
	}
	heads, positions := shared*copies, w.s*w.s
	tokens := w.op("Transpose", w.op("Reshape", w.cur+", "+w.ints(4, w.n, positions), ""), "perm=[0,2,1]")
	split := func(n int, rotate bool) string {
		h := w.op("Reshape", w.linear(tokens, w.n, n*inside)+", "+w.ints(4, positions, n, inside), "")
		h = w.op("Transpose", h, "perm=[0,2,1,3]")
		if rotate {
			lo, hi := w.name("v"), w.name("v")
			w.nodes = append(w.nodes, fmt.Sprintf("%s, %s = Split(%s) {axis=3}", lo, hi, h))
			h = w.op("Add", h+", "+w.op("Concat", w.op("Neg", hi, "")+", "+lo, "axis=3"), "")
		}
		if n == heads {
			return h
		}
		h = w.op("Expand", w.op("Unsqueeze", h+", "+w.ints(2), "")+", "+w.ints(4, n, copies, positions, inside), "")
		return w.op("Reshape", h+", "+w.ints(4, heads, positions, inside), "")
	}
	values := shared
	if a%3 == 0 { // values of their own for each query head
		values = heads
	}
	q, k, v := split(heads, b%2 == 0), split(shared, b%2 == 0), split(values, false)
	s := w.op("MatMul", q+", "+w.op("Transpose", k, "perm=[0,1,3,2]"), "")
	if b%3 == 0 { // a scale for each query head
		s = w.op("Mul", s+", "+w.init(fmt.Sprintf("%d,1,1", heads), 0.5, 1.5), "")
	}
	p := w.op("Softmax", s, "axis=-1")
	o := w.op("Transpose", w.op("MatMul", p+", "+v, ""), "perm=[0,2,1,3]")
	o = w.linear(w.op("Reshape", o+", "+w.ints(4, positions, heads*inside), ""), heads*inside, w.n)
	w.cur = w.op("Reshape", w.op("Transpose", o, "perm=[0,2,1]")+", "+w.ints(4, w.n, w.s, w.s), "")
}

// drawPlan draws a network of up to 7 steps.
func drawPlan(t *rapid.T, steps []step) plan {
	p := plan{tail: rapid.IntRange(0, 3).Draw(t, "tail")}
	for range rapid.IntRange(1, 7).Draw(t, "steps") {
		k := rapid.IntRange(0, len(steps)-1).Draw(t, "step")
		p.steps = append(p.steps, steps[k])
		p.rand = append(p.rand, [2]int{rapid.IntRange(0, 11).Draw(t, "a"), rapid.IntRange(0, 11).Draw(t, "b")})
	}
	return p
}

// planOf is a network of the named steps.
func planOf(tail int, names ...string) plan {
	p := plan{tail: tail}
	for k, name := range names {
		at := slices.IndexFunc(zipSteps, func(s step) bool { return s.name == name })
		p.steps = append(p.steps, zipSteps[at])
		p.rand = append(p.rand, [2]int{k, k / 2})
	}
	return p
}

// text renders a plan: a stem, the steps, a flatten of one kind or another, two linear layers.
func (p plan) text(s style) string {
	if s.dtype == "" {
		s.dtype = "f32"
	}
	w := p.begin(s)
	for k, step := range p.steps {
		if step.fits(w) {
			step.add(w, p.rand[k][0], p.rand[k][1])
		}
	}
	return p.end(w)
}

// begin renders the stem.
func (p plan) begin(s style) *writer {
	w := &writer{style: s, cur: s.prefix + "x", n: 3, s: 8}
	n := w.features(5)
	w.cur, w.n = w.op("Relu", w.conv(w.cur, w.n, n, 3), ""), n
	return w
}

// end renders the tail and returns the text.
func (p plan) end(w *writer) string {
	s := w.style
	size := w.n * w.s * w.s
	switch p.tail {
	case 0:
		w.cur, size = w.op("Flatten", w.op("GlobalAveragePool", w.cur, ""), ""), w.n
	case 1:
		w.cur = w.op("Flatten", w.cur, "")
	case 2:
		w.cur = w.op("Reshape", w.op("Transpose", w.cur, "perm=[0,2,3,1]")+", "+w.ints(0, size), "")
	default:
		w.cur, size = w.op("ReduceMean", w.cur, "axes=[2,3], keepdims=0"), w.n
	}
	n := w.features(6)
	hidden := w.op("Relu", w.op("Gemm", w.cur+", "+w.init(fmt.Sprintf("%d,%d", n, size))+", "+w.init(fmt.Sprint(n), -0.5, 0.5), "transB=1"), "")
	w.nodes = append(w.nodes, fmt.Sprintf("%sy = Gemm(%s, %s, %s) {transB=1}", s.prefix, hidden,
		w.init(fmt.Sprintf("%d,%d", s.classes, n)), w.init(fmt.Sprint(s.classes), -0.5, 0.5)))
	if s.reverse {
		slices.Reverse(w.inits)
	}
	return fmt.Sprintf("opset 17\ninput %sx %s[4,3,8,8]\n%s\n%s\noutput %sy %s[4,%d]\n",
		s.prefix, s.dtype, strings.Join(w.inits, "\n"), strings.Join(w.nodes, "\n"), s.prefix, s.dtype, s.classes)
}

// models renders the plan for models of different widths: with those steps that fit in all of them.
func (p plan) models(t testing.TB, styles ...style) (models []*onnx.Model) {
	t.Helper()
	var writers []*writer
	for _, s := range styles {
		s.classes, s.dtype = 5, "f32"
		writers = append(writers, p.begin(s))
	}
	for k, step := range p.steps {
		if slices.ContainsFunc(writers, func(w *writer) bool { return !step.fits(w) }) {
			continue
		}
		for _, w := range writers {
			step.add(w, p.rand[k][0], p.rand[k][1])
		}
	}
	for i, w := range writers {
		m := onnxtest.Build(t, p.end(w))
		m.File = fmt.Sprintf("model%d.onnx", i)
		models = append(models, m)
	}
	return models
}

func (p plan) model(t testing.TB, s style) *onnx.Model {
	t.Helper()
	if s.classes == 0 {
		s.classes = 5
	}
	m := onnxtest.Build(t, p.text(s))
	m.File = fmt.Sprintf("model%d.onnx", s.seed)
	return m
}
