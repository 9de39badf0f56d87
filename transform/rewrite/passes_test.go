package rewrite

import (
	"errors"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestTableIsInOrder(t *testing.T) {
	if err := checkOrder(Passes); err != nil {
		t.Error(err)
	}
	for _, p := range Passes {
		if p.Why == "" || p.Run == nil {
			t.Errorf("pass %q is incomplete", p.Name)
		}
		for _, c := range p.After {
			if c.Why == "" {
				t.Errorf("pass %q comes after %q for no reason", p.Name, c.Pass)
			}
		}
	}
	wrong := []Pass{{Name: "b", After: []Constraint{{"a", "it makes what b reads"}}}, {Name: "a"}}
	if err := checkOrder(wrong); err == nil || !strings.Contains(err.Error(), "it makes what b reads") {
		t.Errorf("a wrong order: %v", err)
	}
	if err := checkOrder([]Pass{{Name: "a"}, {Name: "a"}}); err == nil {
		t.Error("two passes of one name are accepted")
	}
}

// withPasses runs f with another table.
func withPasses(t *testing.T, passes []Pass, f func()) {
	t.Helper()
	old := Passes
	Passes = passes
	defer func() { Passes = old }()
	f()
}

const tiny = `
	input x f32[N,4]
	y = Relu(x)
	output y f32[N,4]`

func TestBrokenPassIsNamed(t *testing.T) {
	cut := Pass{Name: "cutter", Run: func(m *onnx.Model, _ *Record) error {
		m.Graph().Node[0].Input[0] = "nowhere"
		return nil
	}}
	withPasses(t, []Pass{cut}, func() {
		_, _, err := Canonicalize(onnxtest.Build(t, tiny))
		if fault.As(err).Kind != fault.Internal || !strings.Contains(err.Error(), `"cutter"`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFailingPassEndsTheRewriting(t *testing.T) {
	cause := fault.New(fault.Unsupported, "some_code", "no")
	fail := Pass{Name: "fail", Run: func(*onnx.Model, *Record) error { return cause }}
	withPasses(t, []Pass{fail}, func() {
		m := onnxtest.Build(t, tiny)
		m.File = "a.onnx"
		_, _, err := Canonicalize(m)
		var e *fault.Error
		if !errors.As(err, &e) || e.Code != "some_code" || e.File != "a.onnx" {
			t.Errorf("got %v", err)
		}
	})
}

func TestPassesThatUndoEachOtherAreFound(t *testing.T) {
	restless := Pass{Name: "restless", Run: func(_ *onnx.Model, r *Record) error { r.did("something"); return nil }}
	withPasses(t, []Pass{restless}, func() {
		if _, _, err := Canonicalize(onnxtest.Build(t, tiny)); fault.As(err).Code != "rewrite_endless" {
			t.Errorf("got %v", err)
		}
	})
}

func TestInvalidGraphIsTheModelsFault(t *testing.T) {
	m := onnxtest.Build(t, "input x f32[1]\ny = Relu(z)\noutput y")
	if _, _, err := Canonicalize(m); fault.As(err).Kind != fault.Model {
		t.Errorf("got %v", err)
	}
}

func TestCanonicalizeLeavesItsArgumentAlone(t *testing.T) {
	m := onnxtest.Build(t, convBN)
	before := m.Clone()
	if _, _, err := Canonicalize(m); err != nil {
		t.Fatal(err)
	}
	if !onnx.Equal(before.Proto, m.Proto) {
		t.Error("the model changed")
	}
}

func TestLogReadsWell(t *testing.T) {
	m := onnxtest.Build(t, convBN)
	_, log, err := Canonicalize(m)
	if err != nil {
		t.Fatal(err)
	}
	want := "attributes: 2 (1 BatchNormalization completed, 1 Conv completed)\n" +
		"batchnorm: 1 (1 folded into the node before)\n" +
		"dead: 4 (4 initializers dropped)\n"
	if got := log.String(); got != want {
		t.Errorf("log:\n%swant:\n%s", got, want)
	}
	if log.Changes("batchnorm") != 1 || log.Changes("nothing") != 0 || log.Total() != 7 {
		t.Errorf("%d changes of batchnorm, %d in all", log.Changes("batchnorm"), log.Total())
	}
}
