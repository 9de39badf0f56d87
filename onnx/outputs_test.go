package onnx_test

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestHandsOut(t *testing.T) {
	m := onnxtest.Build(t, `
		input x f32[N,4]
		a = Relu(x)
		code = Identity(a)
		half = Cast(a) {to=10}
		b = Neg(a)
		end = Identity(b)
		n = Shape(b)
		c = Identity(x)
		d = Neg(c)
		output code f32[N,4]
		output half f16[N,4]
		output end f32[N,4]
		output n i64[2]
		output c f32[N,4]
		output d f32[N,4]`)
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{"code": true, "half": true, "end": true, "c": false, "a": false, "n": false} {
		if got := ix.HandsOut(ix.Producer(value)); got != want {
			t.Errorf("what makes %q hands out: %t, want %t", value, got, want)
		}
	}
	for value, want := range map[string]bool{"a": true, "b": false, "c": true, "d": false, "code": false} {
		if got := ix.ReadOn(value); got != want {
			t.Errorf("%q is read on: %t, want %t", value, got, want)
		}
	}
}
