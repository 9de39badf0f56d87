package pair

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// reads is a model that only declares inputs, and reads each.
func reads(inputs ...string) string {
	var b strings.Builder
	for k, in := range inputs {
		name, _, _ := strings.Cut(in, " ")
		fmt.Fprintf(&b, "input %s\ny%d = Neg(%s)\noutput y%d\n", in, k, name, k)
	}
	return b.String()
}

func TestInputPairing(t *testing.T) {
	for _, c := range []struct {
		name  string
		a, b  []string
		mapIn map[string]string
		want  string // the inputs of b, in a's order
	}{
		{"by name", []string{"x f32[N,3]", "z f32[N,3]"}, []string{"z f32[M,3]", "x f32[M,3]"}, nil, "x z"},
		{"by shape", []string{"x f32[N,3]", "z f32[N,4]"}, []string{"u f32[M,4]", "v f32[M,3]"}, nil, "v u"},
		{"by type", []string{"x f32[N,3]", "i i64[N,3]"}, []string{"j i64[M,3]", "v f32[M,3]"}, nil, "v j"},
		{"a symbol fits a size", []string{"x f32[N,3]"}, []string{"u f32[8,3]"}, nil, "u"},
		{"an open rank fits", []string{"x f32"}, []string{"u f32[8,3]"}, nil, "u"},
		{"name before shape", []string{"x f32[N,3]", "z f32[N,3]"}, []string{"q f32[N,3]", "x f32[N,3]"}, nil, "x q"},
		{"as the user says", []string{"x f32[N,3]", "z f32[N,3]"}, []string{"x f32[N,3]", "z f32[N,3]"},
			map[string]string{"x": "z", "z": "x"}, "z x"},
		{"as the user says, the rest by itself", []string{"x f32[N,3]", "z f32[N,3]"}, []string{"u f32[N,3]", "v f32[N,3]"},
			map[string]string{"u": "z"}, "v u"},
		{"alike, in the files' order", []string{"x f32[N,3]", "z f32[N,3]"}, []string{"u f32[N,3]", "v f32[N,3]"}, nil, "u v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := find(t, Options{MapInput: []map[string]string{c.mapIn}}, reads(c.a...), reads(c.b...))
			var got []string
			for _, row := range p.Inputs {
				got = append(got, row[1])
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestInputErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		a, b  []string
		mapIn map[string]string
		kind  fault.Kind
		want  string
	}{
		{"number", []string{"x f32[N,3]"}, []string{"x f32[N,3]", "z f32[M,3]"}, nil, fault.Correspondence,
			`model 1 has 1 inputs ("x" float32[N,3]), model 2 has 2 ("x" float32[N,3], "z" float32[M,3])`},
		{"size", []string{"x f32[N,3,?]"}, []string{"x f32[N,1,4]"}, nil, fault.Correspondence,
			`value "x": input "x" of model 1 and "x" of model 2: axis 1 has size 3 against 1`},
		{"rank", []string{"x f32[N,3]"}, []string{"x f32[N,3,8]"}, nil, fault.Correspondence,
			`value "x": input "x" of model 1 and "x" of model 2: rank 2 against 3`},
		{"type", []string{"x f32[N,3]"}, []string{"u f16[N,?]"}, nil, fault.Correspondence,
			`value "x": input "x" float32[N,3] of model 1 has no counterpart among "u" float16[N,?] of model 2`},
		{"unknown name", []string{"x f32[N,3]"}, []string{"u f32[N,3]"}, map[string]string{"nix": "x"}, fault.Usage,
			`value "nix": model 2 has no input of this name`},
		{"unknown target", []string{"x f32[N,3]"}, []string{"u f32[N,3]"}, map[string]string{"u": "nix"}, fault.Usage,
			`value "nix": model 1 has no input of this name`},
		{"one target twice", []string{"x f32[N,3]", "z f32[N,3]"}, []string{"u f32[N,3]", "v f32[N,3]"},
			map[string]string{"u": "x", "v": "x"}, fault.Usage, `value "x": two inputs of model 2 are mapped to it: "u" and "v"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			graphs := []*onnx.Index{index(t, reads(c.a...)), index(t, reads(c.b...))}
			_, err := Find(graphs, Options{MapInput: []map[string]string{c.mapIn}})
			if err == nil {
				t.Fatal("no error")
			}
			if e := fault.As(err); e.Kind != c.kind || e.Hint == "" || err.Error() != c.want {
				t.Errorf("error of kind %d, hint %q:\n%v\nwant kind %d:\n%s", e.Kind, e.Hint, err, c.kind, c.want)
			}
		})
	}
}
