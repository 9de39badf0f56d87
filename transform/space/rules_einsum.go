package space

import (
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// einsumOperator is the ONNX operator Einsum: its equation is a row of the table already. Diagonals (a letter twice
// in one term), and letters that one parameter alone adds over, pin.
func einsumOperator(c *call) {
	row, ok := einsumRow(onnx.AttrString(c.n, "equation", ""))
	terms := strings.Split(strings.SplitN(row, "->", 2)[0], ",")
	if !ok || len(terms) != len(c.n.GetInput()) {
		c.pinNode("has an equation that the analysis does not follow")
		return
	}
	for slot, term := range terms {
		for _, l := range added(row, term) {
			if c.param(slot) != nil {
				c.pinNode("adds over an axis of its weights alone")
				return
			}
			if letters, fits := spread(term, len(c.in(slot))); fits {
				restrictAll(c.in(slot)[strings.IndexRune(letters, l)], Permute, c.why("adds the features up"))
			}
		}
	}
	einsum(row)(c)
}

// added lists the letters that occur in one term and nowhere else: the sum over them involves nothing else.
func added(row, term string) []rune {
	var out []rune
	for _, l := range term {
		if l != '.' && strings.Count(row, string(l)) == 1 {
			out = append(out, l)
		}
	}
	return out
}

// einsumRow writes an equation in the notation of the table: letters from a on, "." for the ellipsis, the result
// always given (without one it has the letters that occur once, in alphabetical order: numpy.einsum). ok is false
// where a term has a letter twice, or there are more letters than the notation has.
func einsumRow(equation string) (row string, ok bool) {
	equation = strings.ReplaceAll(strings.ReplaceAll(equation, " ", ""), "...", ".")
	left, right, explicit := strings.Cut(equation, "->")
	if !explicit {
		right = implicitResult(left)
	}
	names := map[rune]byte{}
	var out strings.Builder
	for _, l := range left + ">" + right {
		switch {
		case l == ',' || l == '.':
			out.WriteRune(l)
			continue
		case l == '>':
			out.WriteString("->")
			continue
		case names[l] == 0:
			names[l] = 'a' + byte(len(names))
		}
		out.WriteByte(names[l])
	}
	row = out.String()
	for _, term := range strings.FieldsFunc(row, func(r rune) bool { return r == ',' || r == '>' || r == '-' }) {
		for _, l := range term {
			if strings.Count(term, string(l)) > 1 {
				return row, false
			}
		}
	}
	return row, len(names) <= 26
}

// implicitResult is the right side of an equation that has none.
func implicitResult(left string) string {
	out := ""
	if strings.Contains(left, ".") {
		out = "."
	}
	for l := 'A'; l <= 'z'; l++ {
		if strings.Count(left, string(l)) == 1 {
			out += string(l)
		}
	}
	return out
}
