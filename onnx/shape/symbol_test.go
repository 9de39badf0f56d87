package shape

import "testing"

func TestSymbols(t *testing.T) {
	n, h, sum := symbol("N"), symbol("H"), symbol("past + 1")
	for want, got := range map[string]Dim{
		"4·N": mul(num(4), n), "8·H·N": mul(mul(num(2), h), mul(n, num(4))), "N·N": mul(n, n), "0": mul(n, num(0)),
		"N": mul(n, num(1)), "(past + 1)·N": mul(sum, n), "2·past + 2": mul(num(2), sum),
		"H": divided(mul(n, h), n), "2": divided(mul(num(4), n), mul(num(2), n)), "H/2": div(h, num(2)),
		"(2·H)/3": div(mul(num(2), h), num(3)), "2·(H/3)": mul(num(2), div(h, num(3))), "H/3": mul(num(1), div(h, num(3))), "-2": div(num(-3), num(2)),
		"(H - 1)/2": div(add(h, num(-1)), num(2)), "past": add(sum, num(-1)), "N + past + 1": sub(add(sum, n), num(0)),
		"3·N": add(n, mul(num(2), n)), "1": add(sub(n, n), num(1)), "H - N": sub(h, n), "4 - N": sub(num(4), n),
		"past + 3": add(num(2), sum), "past - 2": sub(sum, num(3)), "H + N": add(n, h),
		"H - (past + 1)": sub(h, sum), "past + 1": symbol("past + 1"), "N + 1": add(n, num(1)),
	} {
		if got.String() != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !div(n, num(0)).madeUp() || !mul(n, unknown).madeUp() || !add(unknown, n).madeUp() || !sub(n, unknown).madeUp() {
		t.Error("what nobody knows must stay unknown")
	}
	if !mul(num(1<<40), num(1<<40)).madeUp() {
		t.Error("an overflow must be unknown")
	}
}

func divided(a, b Dim) Dim {
	q, _ := divExact(a, b)
	return q
}
