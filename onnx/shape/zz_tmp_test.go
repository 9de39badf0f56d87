package shape_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

func TestZZ(t *testing.T) {
	paths, _ := filepath.Glob("/tmp/mm/venv/lib/python3.11/site-packages/onnx/backend/test/data/*/*/*.onnx")
	more, _ := filepath.Glob("/tmp/venv/lib/python3.11/site-packages/onnx/backend/test/data/*/*/*.onnx")
	paths = append(paths, more...)
	n, full, rt, refusedLoad := 0, 0, 0, 0
	missing := map[string]int{}
	for _, p := range paths {
		data, _ := os.ReadFile(p)
		m, err := onnx.Load(p)
		if err != nil {
			refusedLoad++
			t.Log(p, err)
			continue
		}
		n++
		if out, _ := m.Marshal(); bytes.Equal(out, data) {
			rt++
		} else {
			t.Log("roundtrip", p)
		}
		want := map[string]shape.Value{}
		g := m.Graph()
		c := m.Clone()
		c.Graph().ValueInfo = nil
		for _, o := range c.Graph().Output {
			o.Type = nil
		}
		got, err := shape.Infer(c, shape.Options{})
		if err != nil {
			t.Error(filepath.Base(filepath.Dir(p)), err)
			continue
		}
		ok := true
		_ = want
		for _, o := range g.GetOutput() {
			dt, dims, isT := onnx.TensorType(o)
			if !isT {
				continue
			}
			v := got[o.GetName()]
			if v.DType != 0 && v.DType != dt {
				t.Errorf("%s %s: type %v want %v", filepath.Base(filepath.Dir(p)), o.GetName(), v, dt)
			}
			if !v.HasRank || v.DType == 0 {
				ok = false
				continue
			}
			if dims == nil {
				continue
			}
			if len(dims) != len(v.Dims) {
				t.Errorf("%s %s: got %v want %v", filepath.Base(filepath.Dir(p)), o.GetName(), v, dims)
				continue
			}
			for i, d := range dims {
				if d.Size >= 0 && v.Dims[i].Known() && v.Dims[i].Size != d.Size {
					t.Errorf("%s %s: got %v want %v", filepath.Base(filepath.Dir(p)), o.GetName(), v, dims)
				}
			}
		}
		if ok {
			full++
		} else {
			ix, _ := onnx.NewIndex(g)
			for _, nd := range ix.Order {
				if v := got[nd.Output[0]]; !v.HasRank && nd.Output[0] != "" {
					missing[nd.GetDomain()+":"+nd.GetOpType()]++
					if len(nd.Input) > 0 && shape.HasRule(nd) {
						t.Log(filepath.Base(filepath.Dir(p)), nd.GetOpType(), got[nd.Input[0]])
					}
					break
				}
			}
		}
	}
	t.Log(n, "models", full, "with rank", rt, "round trips", refusedLoad, "refused")
	t.Log(missing)
}
