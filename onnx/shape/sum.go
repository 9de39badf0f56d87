package shape

import (
	"regexp"
	"slices"
	"strconv"
)

var offsetForm = regexp.MustCompile(`^(.+) ([+-]) (\d{1,15})$`)

// add is a+b.
func add(a, b Dim) Dim {
	if b.Is(0) {
		return a
	}
	if a.Is(0) {
		return b
	}
	switch {
	case anonymous(a, b):
		return unknown
	case a.Known() && b.Known():
		return num(a.Size + b.Size)
	case a.Known():
		return addConst(b.Sym, a.Size)
	case b.Known():
		return addConst(a.Sym, b.Size)
	}
	ca, sa := factors(a)
	cb, sb := factors(b)
	if slices.Equal(sa, sb) { // N + 2·N is 3·N
		return fromFactors(ca+cb, sa)
	}
	if a.Sym > b.Sym {
		a, b = b, a
	}
	return symbol(a.Sym + " + " + b.Sym)
}

// splitOffset splits off the constant that a symbol ends in, 0 where there is none.
func splitOffset(sym string) (base string, k int64) {
	m := offsetForm.FindStringSubmatch(sym)
	if m == nil {
		return sym, 0
	}
	k, _ = strconv.ParseInt(m[2]+m[3], 10, 64) // 15 digits always fit
	return m[1], k
}

// addConst is the sum of a symbol and k, with the constant that the symbol ends in folded.
func addConst(sym string, k int64) Dim {
	base, offset := splitOffset(sym)
	k += offset
	switch {
	case k > 0:
		return symbol(base + " + " + strconv.FormatInt(k, 10))
	case k < 0:
		return symbol(base + " - " + strconv.FormatUint(uint64(-k), 10))
	}
	return symbol(unwrap(base))
}

// sub is a-b.
func sub(a, b Dim) Dim {
	switch {
	case anonymous(a, b):
		return unknown
	case a == b:
		return num(0)
	case b.Known():
		return add(a, num(-b.Size))
	case a.Known():
		return symbol(a.String() + " - " + wrap(b))
	}
	return symbol(a.Sym + " - " + wrap(b))
}
