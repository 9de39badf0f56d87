package shape

import (
	"math"
	"sort"
	"strconv"
	"strings"
)

// Symbols are written in one canonical form, so that equal sizes get equal strings wherever that is easy to see:
// products are sorted ("4·batch·heads"), constants of a sum are folded ("height - 1"). Declared symbols that are
// expressions in the exporters' notation ("past + 1") are read as such.
const times = "·"

// maxSym bounds the length of a symbol: a chain of sums would double it at each step.
const maxSym = 120

// symbol is the unknown of that name.
func symbol(s string) Dim {
	if len(s) > maxSym {
		return unknown
	}
	return Dim{Size: -1, Sym: s}
}

func anonymous(dims ...Dim) bool {
	for _, d := range dims {
		if d.Sym == unknown.Sym {
			return true
		}
	}
	return false
}

// factors splits a size into its numeric coefficient and its symbolic factors.
func factors(d Dim) (int64, []string) {
	if d.Known() {
		return d.Size, nil
	}
	if isCompound(d.Sym) {
		return 1, []string{"(" + d.Sym + ")"}
	}
	parts := splitTop(d.Sym)
	if c, err := strconv.ParseInt(parts[0], 10, 64); err == nil && len(parts) > 1 {
		return c, parts[1:]
	}
	return 1, parts
}

// isCompound reports whether s has a sum or a quotient outside parentheses.
func isCompound(s string) bool {
	depth := 0
	for _, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ' ', '/': // sums are written with spaces
			if depth == 0 {
				return true
			}
		}
	}
	return false
}

// splitTop splits a product at the signs outside parentheses.
func splitTop(s string) []string {
	var parts []string
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case depth == 0 && strings.HasPrefix(s[i:], times):
			parts = append(parts, s[from:i])
			from = i + len(times)
		}
	}
	return append(parts, s[from:])
}

// fromFactors is the inverse of factors.
func fromFactors(c int64, syms []string) Dim {
	switch {
	case c == 0 || len(syms) == 0:
		return num(c)
	case c == 1 && len(syms) == 1:
		return symbol(unwrap(syms[0]))
	}
	sort.Strings(syms)
	s := strings.Join(syms, times)
	if c != 1 {
		s = strconv.FormatInt(c, 10) + times + s
	}
	return symbol(s)
}

// unwrap removes the parentheses that factors puts around a compound.
func unwrap(s string) string {
	if inner, ok := strings.CutPrefix(s, "("); ok && strings.HasSuffix(inner, ")") {
		if inner = inner[:len(inner)-1]; isCompound(inner) && isBalanced(inner) {
			return inner
		}
	}
	return s
}

// isBalanced reports whether every parenthesis of s has its counterpart in s.
func isBalanced(s string) bool {
	depth := 0
	for _, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}

// mul is a·b.
func mul(a, b Dim) Dim {
	if a.Is(0) || b.Is(0) {
		return num(0)
	}
	if anonymous(a, b) {
		return unknown
	}
	ca, sa := factors(a)
	cb, sb := factors(b)
	c, ok := mulInt(ca, cb)
	if !ok {
		return unknown
	}
	if a.Known() || b.Known() {
		if base, k := splitOffset(a.Sym + b.Sym); k != 0 { // 2·(H - 1) is written 2·H - 2
			offset, ok := mulInt(k, c)
			if !ok {
				return unknown
			}
			return add(mul(num(c), symbol(unwrap(base))), num(offset))
		}
	}
	return fromFactors(c, append(append([]string{}, sa...), sb...))
}

func mulInt(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	return c, c/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64)
}

// prod is the product of the dims, 1 for none.
func prod(dims []Dim) Dim {
	p := num(1)
	for _, d := range dims {
		p = mul(p, d)
	}
	return p
}

// div is ⌊a/b⌋ for sizes.
func div(a, b Dim) Dim {
	if q, ok := divExact(a, b); ok {
		return q
	}
	if anonymous(a, b) || b.Is(0) {
		return unknown
	}
	if a.Known() && b.Known() {
		return num(floorDiv(a.Size, b.Size))
	}
	return symbol(wrap(a) + "/" + wrap(b))
}

func wrap(d Dim) string {
	if d.Known() || !strings.ContainsAny(d.Sym, " "+times+"/") {
		return d.String()
	}
	return "(" + d.Sym + ")"
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// divExact is a/b where b is seen to divide a.
func divExact(a, b Dim) (Dim, bool) {
	if anonymous(a, b) || b.Is(0) {
		return unknown, false
	}
	ca, sa := factors(a)
	cb, sb := factors(b)
	if cb == 0 || ca%cb != 0 {
		return unknown, false
	}
	rest := append([]string{}, sa...)
	for _, s := range sb {
		i := indexOf(rest, s)
		if i < 0 {
			return unknown, false
		}
		rest = append(rest[:i], rest[i+1:]...)
	}
	return fromFactors(ca/cb, rest), true
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return -1
}
