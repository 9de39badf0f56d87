package match

import (
	"fmt"
	"math"
)

// Assign solves the linear assignment problem: it returns the permutation of
// 0 … n-1 for which Σ_i profit[i·n + of[i]] is largest. profit is n×n,
// row-major, finite. The method is that of shortest augmenting paths (Jonker and
// Volgenant 1987, in the form of Crouse, "On implementing 2D rectangular
// assignment algorithms", IEEE Transactions on Aerospace and Electronic Systems
// 52(4), 2016), from prices that are good where profit is near the product of a
// number for the row and one for the column, else from column minima: O(n³) at
// worst, far from it for most profits.
//
// Among equally good solutions it prefers of[i] = i wherever an exchange of two
// partners leads there.
func Assign(n int, profit []float64) ([]int, error) {
	if n < 0 || len(profit) != n*n {
		return nil, fmt.Errorf("match: %d profits: want %d×%d", len(profit), n, n)
	}
	for at, p := range profit {
		if !finite(p) {
			return nil, fmt.Errorf("match: the profit of row %d and column %d is %v", at/n, at%n, p)
		}
	}
	a := newAssignment(n, profit)
	a.reduce()
	for i, j := range a.colOf {
		if j == free {
			a.augment(i)
		}
	}
	a.preferIdentity()
	return a.colOf, nil
}

// free marks a row or a column without a partner.
const free = -1

// assignment is a partial matching of least cost, cost = -profit, with the dual
// prices that prove it: cost_ij - u_i - v_j is ≥ 0 everywhere and 0 on matched
// pairs.
type assignment struct {
	n            int
	profit       []float64 // n×n
	u, v         []float64 // prices of rows and columns
	colOf, rowOf []int     // partner or free

	// Scratch of augment, by column: the cost of the cheapest path so far, the row it
	// comes from, and the columns it may still be shortened for.
	cost []float64
	from []int
	open []int
}

func newAssignment(n int, profit []float64) *assignment {
	a := &assignment{
		n: n, profit: profit,
		u: make([]float64, n), v: make([]float64, n),
		colOf: make([]int, n), rowOf: make([]int, n),
		cost: make([]float64, n), from: make([]int, n), open: make([]int, 0, n),
	}
	for k := range n {
		a.colOf[k], a.rowOf[k] = free, free
	}
	return a
}

// row returns the profits of row i.
func (a *assignment) row(i int) []float64 { return a.profit[i*a.n : (i+1)*a.n] }

// match makes row i and column j partners.
func (a *assignment) match(i, j int) { a.colOf[i], a.rowOf[j] = j, i }

// reduce sets prices, those of columns to their minima or, where that gives the higher lower bound of the cost,
// Σu + Σv, to those of factorPrices; those of rows to what is left. Then it matches what comes out at cost 0: the
// diagonal first, then what is left in order.
func (a *assignment) reduce() {
	for j := range a.v {
		a.v[j] = math.Inf(1)
	}
	for i := range a.n {
		for j, p := range a.row(i) {
			a.v[j] = min(a.v[j], -p)
		}
	}
	bound := a.reduceRows()
	minima := a.v
	if a.v = factorPrices(a.n, a.profit); !(a.reduceRows() > bound) {
		a.v = minima
		a.reduceRows()
	}
	for i := range a.n {
		if -a.row(i)[i]-a.v[i] == a.u[i] {
			a.match(i, i)
		}
	}
	for i, matched := range a.colOf {
		if matched != free {
			continue
		}
		for j, p := range a.row(i) {
			if a.rowOf[j] == free && -p-a.v[j] == a.u[i] {
				a.match(i, j)
				break
			}
		}
	}
}

// reduceRows sets the prices of rows as high as those of the columns allow, and returns the sum of all prices, which
// no assignment can cost less than.
func (a *assignment) reduceRows() (bound float64) {
	for i := range a.n {
		a.u[i] = math.Inf(1)
		for j, p := range a.row(i) {
			a.u[i] = min(a.u[i], -p-a.v[j])
		}
		bound += a.u[i] + a.v[i]
	}
	return bound
}

// augment matches the free row start along a cheapest alternating path.
func (a *assignment) augment(start int) {
	a.open = a.open[:0]
	for j := range a.n {
		a.cost[j] = math.Inf(1)
		a.open = append(a.open, j)
	}
	length, i := 0.0, start
	sink := free
	for sink == free {
		at := a.extend(i, length)
		j := a.open[at]
		length = a.cost[j]
		// The closed columns move behind the end of open, where update finds them.
		last := len(a.open) - 1
		a.open[at], a.open[last] = a.open[last], j
		a.open = a.open[:last]
		if i = a.rowOf[j]; i == free {
			sink = j
		}
	}
	a.reprice(start, length)
	for j := sink; ; {
		i := a.from[j]
		next := a.colOf[i]
		a.match(i, j)
		if i == start {
			return
		}
		j = next
	}
}

// extend shortens the paths to all open columns over row i, which is reached at
// the given length, and returns where in open the nearest column is; of equally
// near ones a free one, which ends the path.
func (a *assignment) extend(i int, length float64) int {
	row, base := a.row(i), length-a.u[i]
	nearest, at := math.Inf(1), 0
	for o, j := range a.open {
		c := base - row[j] - a.v[j]
		if c < a.cost[j] {
			a.cost[j], a.from[j] = c, i
		} else {
			c = a.cost[j]
		}
		if c < nearest || c == nearest && a.rowOf[j] == free {
			nearest, at = c, o
		}
	}
	return at
}

// reprice restores the prices after a path of the given length from start.
// Every closed column but the last was left by the row matched to it.
func (a *assignment) reprice(start int, length float64) {
	a.u[start] += length
	for _, j := range a.open[len(a.open):a.n] {
		a.v[j] -= length - a.cost[j]
		if i := a.rowOf[j]; i != free {
			a.u[i] += length - a.cost[j]
		}
	}
}

// preferIdentity exchanges partners wherever that matches a row to the column of
// its own number at no loss. Each exchange adds such a row, so it ends.
func (a *assignment) preferIdentity() {
	for changed := true; changed; {
		changed = false
		for i, j := range a.colOf {
			r := a.rowOf[i]
			if i == j || a.row(i)[i]+a.row(r)[j] < a.row(i)[j]+a.row(r)[i] {
				continue
			}
			a.match(i, i)
			a.match(r, j)
			changed = true
		}
	}
}
