package data

import (
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// dict is the Python dictionary in an array's header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}.
type dict struct {
	descr   string
	fortran bool
	shape   []int64
}

// parseDict reads exactly the three keys that the format knows, each once, in any order.
func parseDict(text string) (*dict, error) {
	p := &parser{rest: text}
	d := &dict{}
	seen := map[string]bool{}
	if !p.eat("{") {
		return nil, badHeader()
	}
	for !p.eat("}") {
		key, ok := p.str()
		if !ok || seen[key] || !p.eat(":") {
			return nil, badHeader()
		}
		seen[key] = true
		if err := p.value(d, key); err != nil {
			return nil, err
		}
		if p.eat("}") {
			break
		}
		if !p.eat(",") {
			return nil, badHeader()
		}
	}
	if len(seen) != 3 || strings.TrimSpace(p.rest) != "" {
		return nil, badHeader()
	}
	return d, nil
}

func badHeader() *fault.Error {
	return bad("bad_npy", "the array's header is damaged").WithHint("save the file again with np.savez")
}

// parser takes tokens of a Python literal off the front of rest.
type parser struct{ rest string }

// eat takes the token, if it comes next after blanks.
func (p *parser) eat(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	var found bool
	p.rest, found = strings.CutPrefix(p.rest, token)
	return found
}

// value reads the value of a key into d.
func (p *parser) value(d *dict, key string) error {
	ok := false
	switch key {
	case "descr":
		if p.eat("[") || p.eat("(") {
			return bad("array_type", "the array has fields (a structured type)").WithHint("save each field as an array of its own")
		}
		d.descr, ok = p.str()
	case "fortran_order":
		d.fortran = p.eat("True")
		ok = d.fortran || p.eat("False")
	case "shape":
		d.shape, ok = p.ints()
	}
	if !ok {
		return badHeader()
	}
	return nil
}

// str reads a quoted string without escapes.
func (p *parser) str() (string, bool) {
	for _, quote := range []string{"'", `"`} {
		if p.eat(quote) {
			s, rest, closed := strings.Cut(p.rest, quote)
			p.rest = rest
			return s, closed && !strings.Contains(s, `\`)
		}
	}
	return "", false
}

// ints reads a tuple of sizes: (), (5,), (2, 3).
func (p *parser) ints() ([]int64, bool) {
	if !p.eat("(") {
		return nil, false
	}
	var out []int64
	for !p.eat(")") {
		p.rest = strings.TrimLeft(p.rest, " ")
		digits := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789"))
		n, err := strconv.ParseInt(p.rest[:digits], 10, 64)
		if err != nil || len(out) == maxRank {
			return nil, false
		}
		p.rest = p.rest[digits:]
		p.eat("L") // Python 2 wrote long integers so
		out = append(out, n)
		if !p.eat(",") {
			return out, p.eat(")")
		}
	}
	return out, true
}

// tuple writes a shape as NumPy does: (640, 28, 28, 1) without blanks, (640,) for one axis.
func tuple(shape []int64) string {
	parts := make([]string, len(shape))
	for i, n := range shape {
		parts[i] = strconv.FormatInt(n, 10)
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ",") + ")"
}
