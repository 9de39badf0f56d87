package shape_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// evaluator computes symbols for given sizes, so that the engine can check them too:
//
//	sum      = product { " + " product | " - " product }
//	product  = quotient { "·" quotient }
//	quotient = operand [ "/" operand ]
//	operand  = number | name | "(" sum ")"
type evaluator struct {
	rest  string
	sizes map[string]int64
	ok    bool
}

// evaluate returns the number that a symbol stands for, !ok where it names a size that is not given.
func evaluate(sym string, sizes map[string]int64) (n int64, ok bool) {
	e := &evaluator{sym, sizes, true}
	n = e.sum()
	return n, e.ok && e.rest == ""
}

func (e *evaluator) accept(s string) bool {
	rest, ok := strings.CutPrefix(e.rest, s)
	e.rest = rest
	return ok
}

func (e *evaluator) sum() int64 {
	n := e.product()
	for {
		switch {
		case e.accept(" + "):
			n += e.product()
		case e.accept(" - "):
			n -= e.product()
		default:
			return n
		}
	}
}

func (e *evaluator) product() int64 {
	n := e.quotient()
	for e.accept("·") {
		n *= e.quotient()
	}
	return n
}

func (e *evaluator) quotient() int64 {
	n := e.operand()
	if !e.accept("/") {
		return n
	}
	by := e.operand()
	if by == 0 {
		e.ok = false
		return 0
	}
	q := n / by
	if n%by != 0 && (n < 0) != (by < 0) {
		q--
	}
	return q
}

func (e *evaluator) operand() int64 {
	if e.accept("(") {
		n := e.sum()
		e.ok = e.accept(")") && e.ok
		return n
	}
	end := strings.IndexFunc(e.rest, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' })
	if end < 0 {
		end = len(e.rest)
	}
	word := e.rest[:end]
	e.rest = e.rest[end:]
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return n
	}
	n, known := e.sizes[word]
	e.ok = e.ok && known
	return n
}

func TestEvaluate(t *testing.T) {
	sizes := map[string]int64{"H": 9, "N": 2}
	for sym, want := range map[string]int64{"(H - 2)/2 + 1": 4, "2·(H - 1)·N": 32, "H/4·N - 5": -1} {
		if got, ok := evaluate(sym, sizes); !ok || got != want {
			t.Errorf("%s is %d, %v; want %d", sym, got, ok, want)
		}
	}
	for _, sym := range []string{"M", "?x.0", "(H", "H/0"} {
		if _, ok := evaluate(sym, sizes); ok {
			t.Errorf("%s was evaluated", sym)
		}
	}
}
