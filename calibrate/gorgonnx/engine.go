package gorgonnx

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Engine runs models in pure Go. Its zero value is ready.
type Engine struct{}

// Name says which libraries compute.
func (Engine) Name() string { return "onnx-go 0.5.0 with Gorgonia 0.9.15, CPU" }

// Open checks that every node which the outputs depend on can be run, before anything runs. What it cannot
// run is an error of kind fault.Unsupported that names the node, as is a ProfilePath: there is no
// profiler. The other options change nothing here.
func (Engine) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.ProfilePath != "" {
		return nil, unsupported("this engine has no profiler")
	}
	if m == nil || len(m.Graph().GetOutput()) == 0 {
		return nil, fault.New(fault.Model, "invalid_model", "there is no graph with outputs")
	}
	s, err := newSession(m)
	if err != nil {
		return nil, fault.As(err).InFile(m.File)
	}
	return s, nil
}

// session is a model that was found runnable. It is never changed.
type session struct {
	file      string
	opset     int64
	inputs    []*onnx.ValueInfo
	outputs   []string
	constants map[string]*onnx.Tensor // the initializers
	nodes     []*onnx.Node            // those that the outputs depend on, in order
	reads     map[string]int          // how often nodes read a value
}

func newSession(m *onnx.Model) (*session, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	s := &session{
		file: m.File, opset: m.Opset(""), inputs: ix.Inputs(),
		constants: map[string]*onnx.Tensor{}, reads: map[string]int{},
	}
	for _, out := range m.Graph().GetOutput() {
		s.outputs = append(s.outputs, out.GetName())
	}
	for _, p := range m.Graph().GetInitializer() {
		if s.constants[p.GetName()], err = onnx.TensorOf(p); err != nil {
			return nil, err
		}
	}
	s.schedule(ix)
	return s, s.check()
}

// schedule lists the nodes that the outputs depend on: what nobody asked for need not be supported.
func (s *session) schedule(ix *onnx.Index) {
	wanted := map[*onnx.Node]bool{}
	var want func(value string)
	want = func(value string) {
		if n := ix.Producer(value); n != nil && !wanted[n] {
			wanted[n] = true
			for _, v := range onnx.Reads(n) {
				want(v)
			}
		}
	}
	for _, out := range s.outputs {
		want(out)
		s.reads[out]++ // the caller reads it, so it is kept
	}
	for _, n := range ix.Order {
		if wanted[n] {
			s.nodes = append(s.nodes, n)
			for _, v := range onnx.Reads(n) {
				s.reads[v]++
			}
		}
	}
}

// Run computes the outputs, node by node. Cancelling ctx ends it between two nodes. A node whose inputs
// turn out to have shapes that cannot be handled is an error of kind fault.Unsupported; feeds that do not
// fit the inputs are one of kind fault.Data.
func (s *session) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	if err := s.checkFeeds(feeds); err != nil {
		return nil, fault.As(err).InFile(s.file)
	}
	values, left := map[string]*onnx.Tensor{}, map[string]int{}
	for name, t := range feeds {
		values[name] = t
	}
	for _, n := range s.nodes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, err := s.runNode(n, values)
		if err != nil {
			return nil, fault.As(err).InFile(s.file).AtNode(onnx.NodeName(n))
		}
		values[n.GetOutput()[0]] = t
		for _, v := range n.GetInput() {
			if left[v]++; left[v] == s.reads[v] {
				delete(values, v) // frees it: nothing reads it any more
			}
		}
	}
	out := map[string]*onnx.Tensor{}
	for _, name := range s.outputs {
		out[name] = clone(s.value(values, name)) // it may be a feed, or an initializer
	}
	return out, nil
}

// Close does nothing: a session holds nothing but memory.
func (s *session) Close() error { return nil }

func (s *session) value(values map[string]*onnx.Tensor, name string) *onnx.Tensor {
	if t := values[name]; t != nil {
		return t
	}
	return s.constants[name]
}

// runNode makes the first output of a node. A panic, of the libraries or of this package on a graph that
// contradicts itself, becomes an error.
func (s *session) runNode(n *onnx.Node, values map[string]*onnx.Tensor) (t *onnx.Tensor, err error) {
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, unsupported("this engine panicked on %s: %v", n.GetOpType(), r)
		}
	}()
	c := &call{node: n, opset: s.opset}
	for _, name := range n.GetInput() {
		c.in = append(c.in, s.value(values, name)) // nil for an absent input, whose name is ""
	}
	op := operators[n.GetOpType()]
	if len(c.in) < op.inputs || slices.Contains(c.in[:op.inputs], nil) {
		return nil, fault.New(fault.Model, "invalid_graph", "%s has fewer than %d inputs", n.GetOpType(), op.inputs)
	}
	if t, err = op.run(c); err == nil {
		return t, nil
	}
	if _, typed := err.(*fault.Error); !typed {
		err = fault.Wrap(fault.Unsupported, "engine_unsupported", err, "this engine cannot run this %s", n.GetOpType())
	}
	return nil, err
}

func unsupported(format string, args ...any) *fault.Error {
	return fault.New(fault.Unsupported, "engine_unsupported", format, args...).
		WithHint("this second engine runs plain convolutional networks and MLPs; ONNX Runtime runs all models")
}

func clone(t *onnx.Tensor) *onnx.Tensor {
	return &onnx.Tensor{DType: t.DType, Dims: slices.Clone(t.Dims), Raw: slices.Clone(t.Raw)}
}
