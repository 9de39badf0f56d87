package match

import (
	"math"
	"slices"
)

// factorPrices are column prices that are best for the nearest product of one number for each row and one for each
// column, profit_ij ≈ a_i·b_j. Features that share one strong factor have such profits, and there the shortest paths
// from any other prices are long. For the product itself the best assignment pairs rows and columns in the order of
// their numbers (the rearrangement inequality), and with both ascending, c_ij = −a_i·b_j, prices prove it where
//
//	−a_{k+1}·(b_{k+1} − b_k) ≤ v_{k+1} − v_k ≤ −a_k·(b_{k+1} − b_k)
//
// of which the middle is taken.
func factorPrices(n int, profit []float64) []float64 {
	a, b := factors(n, profit)
	rows, columns := ascending(a), ascending(b)
	v := make([]float64, n)
	for k := range n - 1 {
		step := b[columns[k+1]] - b[columns[k]]
		v[columns[k+1]] = v[columns[k]] - (a[rows[k]]+a[rows[k+1]])/2*step
	}
	return v
}

// factorSteps is the number of power iterations: where one factor is strong, the first few find it.
const factorSteps = 3

// factors are a and b of the product a_i·b_j nearest to the profits, roughly: |b| = 1.
func factors(n int, profit []float64) (a, b []float64) {
	a, b = make([]float64, n), make([]float64, n)
	for k := range n {
		b[k] = 1 / math.Sqrt(float64(n))
	}
	for step := range factorSteps + 1 {
		for i := range n {
			a[i] = 0
			for j, p := range profit[i*n : (i+1)*n] {
				a[i] += p * b[j]
			}
		}
		if step == factorSteps {
			break
		}
		clear(b)
		for i := range n {
			for j, p := range profit[i*n : (i+1)*n] {
				b[j] += p * a[i]
			}
		}
		norm := 0.0
		for _, x := range b {
			norm += x * x
		}
		if norm = math.Sqrt(norm); !(norm > 0) || math.IsInf(norm, 0) {
			return a, b
		}
		for j := range b {
			b[j] /= norm
		}
	}
	return a, b
}

// ascending lists positions by what is there, equal ones in order.
func ascending(v []float64) []int {
	order := make([]int, len(v))
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case v[i] < v[j]:
			return -1
		case v[i] > v[j]:
			return 1
		}
		return 0
	})
	return order
}
