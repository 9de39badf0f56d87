package calibrate

import (
	"context"
	"errors"
	"sync"

	"github.com/onnx-zip/onnx-zip/onnx"
	"gonum.org/v1/gonum/mat"
	"google.golang.org/protobuf/proto"
)

// Products are float64 matrix products in an engine, whose kernels are many times as fast as those of pure Go. They may be
// used from several goroutines. Each call runs in one thread: what comes out does not depend on the number of cores.
type Products struct {
	ctx    context.Context
	engine Engine

	mu       sync.Mutex
	sessions map[productForm]Session // opened when they are first needed
}

// productForm is what one graph computes.
type productForm struct{ subtract, transposed bool }

// NewProducts returns products that end with ctx. The caller closes them.
func NewProducts(ctx context.Context, e Engine) *Products {
	return &Products{ctx: ctx, engine: e, sessions: map[productForm]Session{}}
}

// Close frees the engine's sessions, when no product runs any more.
func (p *Products) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []error
	for _, s := range p.sessions {
		all = append(all, s.Close())
	}
	clear(p.sessions)
	return errors.Join(all...)
}

// Multiply returns a·b, or a·bᵀ where transposed; where c is not nil, c minus that. The matrices are read in place and must
// be whole: no columns of wider ones.
func (p *Products) Multiply(c, a, b *mat.Dense, transposed bool) (*mat.Dense, error) {
	s, err := p.session(productForm{c != nil, transposed})
	if err != nil {
		return nil, err
	}
	feeds := map[string]*onnx.Tensor{"a": tensorOver(a), "b": tensorOver(b)}
	if c != nil {
		feeds["c"] = tensorOver(c)
	}
	out, err := s.Run(p.ctx, feeds)
	if err != nil {
		return nil, err
	}
	y := out["y"]
	v, err := y.ViewFloat64s()
	if err != nil {
		return nil, err
	}
	return mat.NewDense(int(y.Dims[0]), int(y.Dims[1]), v), nil
}

func tensorOver(m *mat.Dense) *onnx.Tensor {
	rows, columns := m.Dims()
	return onnx.OverFloat64(m.RawMatrix().Data, int64(rows), int64(columns))
}

func (p *Products) session(form productForm) (Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[form]; s != nil {
		return s, nil
	}
	s, err := p.engine.Open(p.ctx, form.model(), SessionOptions{Threads: 1})
	if err == nil {
		p.sessions[form] = s
	}
	return s, err
}

// model is a single Gemm: the product is neither transposed nor subtracted in memory of its own.
func (form productForm) model() *onnx.Model {
	matrix := []onnx.Dim{{Size: -1}, {Size: -1}}
	inputs, attrs := []string{"a", "b"}, []*onnx.Attribute{}
	if form.subtract {
		inputs, attrs = append(inputs, "c"), append(attrs, onnx.FloatAttr("alpha", -1))
	}
	if form.transposed {
		attrs = append(attrs, onnx.Int("transB", 1))
	}
	g := &onnx.Graph{Name: proto.String("product"), Node: []*onnx.Node{onnx.NewNode("Gemm", "y", inputs, []string{"y"}, attrs...)}}
	for _, name := range inputs {
		g.Input = append(g.Input, onnx.NewValueInfo(name, onnx.Double, matrix))
	}
	g.Output = []*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Double, matrix)}
	return &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion:   proto.Int64(8),
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(13)}},
		Graph:       g,
	}}
}
