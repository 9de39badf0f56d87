package shape

import (
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// gemm: A[M,K] (or its transpose) and B[K,N] (or its transpose) make [M,N].
func gemm(c *call) ([]Value, error) {
	a, b := c.in(0), c.in(1)
	aKnown, err := c.wantRank(0, 2)
	if err != nil {
		return nil, err
	}
	bKnown, err := c.wantRank(1, 2)
	if err != nil {
		return nil, err
	}
	m, k := rowsCols(a, aKnown, c.attr("transA", 0) != 0)
	k2, n := rowsCols(b, bKnown, c.attr("transB", 0) != 0)
	if aKnown && bKnown {
		if _, err := c.same(k, k2, "inner sizes", 0, 1); err != nil {
			return nil, err
		}
	}
	out := []Dim{m, n}
	if bias := c.in(2); bias.HasRank && c.opset >= 7 {
		if err := c.fits(out, 2); err != nil {
			return nil, err
		}
	}
	return tensorOf(a.DType, out), nil
}

func rowsCols(v Value, known, transposed bool) (rows, cols Dim) {
	switch {
	case !known:
		return unknown, unknown
	case transposed:
		return v.Dims[1], v.Dims[0]
	}
	return v.Dims[0], v.Dims[1]
}

func matMul(c *call) ([]Value, error)        { return c.matMul(0, 1, c.in(0).DType) }
func matMulInteger(c *call) ([]Value, error) { return c.matMul(0, 1, onnx.Int32) }
func qlinearMatMul(c *call) ([]Value, error) { return c.matMul(0, 3, c.in(7).DType) }

// matMul is numpy.matmul: a vector on the left is a row, on the right a column, and either extra axis goes.
func (c *call) matMul(slotA, slotB int, dtype onnx.DType) ([]Value, error) {
	a, b := c.in(slotA), c.in(slotB)
	if !a.HasRank || !b.HasRank {
		return typeOnly(dtype), nil
	}
	if len(a.Dims) == 0 || len(b.Dims) == 0 {
		return nil, c.mismatch("scalars: %s and %s", c.show(slotA), c.show(slotB))
	}
	da, db := a.Dims, b.Dims
	if len(da) == 1 {
		da = cat(nums(1), da)
	}
	if len(db) == 1 {
		db = cat(db, nums(1))
	}
	na, nb := len(da), len(db)
	if _, err := c.same(da[na-1], db[nb-2], "inner sizes", slotA, slotB); err != nil {
		return nil, err
	}
	out, err := c.broadcastTo(da[:na-2], db[:nb-2])
	if err != nil {
		return nil, err
	}
	if len(a.Dims) > 1 {
		out = append(out, da[na-2])
	}
	if len(b.Dims) > 1 {
		out = append(out, db[nb-1])
	}
	return tensorOf(dtype, out), nil
}

// einsum follows the equation; one with an ellipsis stays unknown.
func einsum(c *call) ([]Value, error) {
	equation := strings.ReplaceAll(onnx.AttrString(c.node, "equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.node.Input) {
		return nil, c.mismatch("%q has %d terms for %d inputs", equation, len(terms), len(c.node.Input))
	}
	if !explicit {
		right = onceOnly(left)
	}
	if strings.Contains(equation, ellipsis) {
		spread := 0 // axes that the ellipsis stands for
		for slot, term := range terms {
			in := c.in(slot)
			if !in.HasRank {
				return typeOnly(c.in(0).DType), nil
			}
			n := max(len(in.Dims)-len(strings.ReplaceAll(term, ellipsis, "")), 0)
			terms[slot] = strings.Replace(term, ellipsis, dotted(n), 1)
			spread = max(spread, n)
		}
		right = strings.Replace(right, ellipsis, dotted(spread), 1)
	}
	sizes, err := c.letters(terms)
	if err != nil {
		return nil, err
	}
	out := []Dim{}
	for _, r := range right {
		d, ok := sizes[r]
		if !ok {
			return nil, c.mismatch("%q has %q on the right only", equation, r)
		}
		out = append(out, d)
	}
	return tensorOf(c.in(0).DType, out), nil
}

const ellipsis = "..."

// dotted names the n axes of an ellipsis by digits, from the right, since they are broadcast like that.
func dotted(n int) string {
	var out []rune
	for k := n; k > 0; k-- {
		out = append(out, rune('0'+k))
	}
	return string(out)
}

// letters finds the size of each letter of an equation.
func (c *call) letters(terms []string) (map[rune]Dim, error) {
	sizes := map[rune]Dim{}
	for slot, term := range terms {
		runes := []rune(term)
		known, err := c.wantRank(slot, len(runes))
		if err != nil {
			return nil, err
		}
		for i, r := range runes {
			d := unknown
			if known {
				d = c.in(slot).Dims[i]
			}
			if old, seen := sizes[r]; seen && !old.Is(1) { // 1 may be broadcast
				if d.Is(1) {
					continue
				}
				merged, ok := agree(old, d)
				if !ok {
					return nil, c.mismatch("%q is %v and %v in %s", r, old, d, c.show(slot))
				}
				d = merged
			}
			sizes[r] = d
		}
	}
	return sizes, nil
}

// onceOnly is the implicit right side: the ellipsis, and the letters that occur once, sorted.
func onceOnly(left string) string {
	var out strings.Builder
	if strings.Contains(left, ellipsis) {
		out.WriteString(ellipsis)
	}
	for r := 'A'; r <= 'z'; r++ {
		if r != ',' && strings.Count(left, string(r)) == 1 {
			out.WriteRune(r)
		}
	}
	return out.String()
}
