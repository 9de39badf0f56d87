package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table lines text up in columns: the first to the left, numbers to the right.
type table struct {
	left map[int]bool // further columns that are set to the left
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String lays the table out. A column is as wide as its widest cell; the last one, if it is text, is not padded.
func (t *table) String() string {
	var width []int
	for _, row := range t.rows {
		for c, cell := range row {
			if c == len(width) {
				width = append(width, 0)
			}
			width[c] = max(width[c], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for c, cell := range row {
			if c > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(cell))
			if c == 0 || t.left[c] {
				line.WriteString(cell + pad)
			} else {
				line.WriteString(pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// withoutEmpty drops the columns that have a heading only.
func (t *table) withoutEmpty() *table {
	out := &table{left: map[int]bool{}}
	for c := range t.rows[0] {
		filled := false
		for _, row := range t.rows[1:] {
			filled = filled || row[c] != ""
		}
		if !filled {
			continue
		}
		for i, row := range t.rows {
			if i == len(out.rows) {
				out.rows = append(out.rows, nil)
			}
			out.rows[i] = append(out.rows[i], row[c])
		}
		if t.left[c] {
			out.left[len(out.rows[0])-1] = true
		}
	}
	return out
}

// percent is "94.3 %" of a fraction.
func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// plural is "1 sample", "2 samples".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
