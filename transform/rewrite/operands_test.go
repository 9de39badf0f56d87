package rewrite

import "testing"

func TestOperands(t *testing.T) {
	checkPass(t, "operands", []passTest{{
		name: "the constant comes second",
		model: `
			input x f32[N,2]
			w = init f32[2] random(1)
			a = Add(w, x)
			b = Mul(w, a)
			c = Sub(w, b)
			d = Add(c, w)
			output d f32[N,2]`,
		want: `
			a = Add(x, w)
			b = Mul(a, w)
			c = Sub(w, b)
			d = Add(c, w)`,
		kinds: map[string]int{"swapped": 2},
	}})
}
