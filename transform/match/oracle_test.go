package match

import (
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// naiveReference is the published greedy zip word for word, O(n³): it removes
// rows and writes -∞ into the matrix. ok is false where it would lose features.
func naiveReference(f Features, o Options) (z Zip, ok bool) {
	model, _ := f.origin()
	n := len(model)
	sims := make([][]float32, n)
	flat := f.correlation32()
	ninf := float32(math.Inf(-1))
	into := make([]int, n)
	first := make([]int, n) // first member of each cluster that is left
	for i := range sims {
		sims[i] = flat[i*n : (i+1)*n : (i+1)*n]
		sims[i][i] = ninf
		into[i], first[i] = i, i
	}
	budget := slices.Repeat([]int{int(float64((n-o.Width)/len(f.Widths))*o.Beta + 1e-4)}, len(f.Widths))
	for len(sims) > o.Width {
		i, j := 0, 0
		for a, row := range sims {
			for b, v := range row {
				if v > sims[i][j] {
					i, j = a, b
				}
			}
		}
		if i == j {
			return Zip{}, false
		}
		into[first[j]] = first[i]
		for k := range sims {
			if k != i {
				v := min(sims[i][k], sims[j][k]) * float32(o.Alpha)
				sims[i][k], sims[k][i] = v, v
			}
		}
		sims = slices.Delete(sims, j, j+1)
		for k := range sims {
			sims[k] = slices.Delete(sims[k], j, j+1)
		}
		same := model[i] == model[j]
		model, first = slices.Delete(model, j, j+1), slices.Delete(first, j, j+1)
		if same {
			if budget[model[i]]--; budget[model[i]] <= 0 {
				for a := range sims {
					for b := range sims {
						if model[a] == model[i] && model[b] == model[i] {
							sims[a][b] = ninf
						}
					}
				}
			}
		}
	}
	return number(into), true
}

func TestReferenceAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFeatures(t, drawEqualWidths(t))
		o := drawOptions(t, f.total())
		// 0·(-∞) is NaN in the published program.
		o.Alpha = max(o.Alpha, 1e-4)
		z, err := Reference(f, o)
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := naiveReference(f, o); ok {
			if diff := cmp.Diff(want, z); diff != "" {
				t.Fatalf("(-naive +ours):\n%s", diff)
			}
		}
	})
}

// naiveCluster is a cluster of naiveGreedy: its members and how many
// of them each model has.
type naiveCluster struct {
	members  []int
	perModel map[int]int
}

// naiveZip states the rules of Greedy, constants aside, without any regard for
// speed: all pairs are compared again before every merge.
type naiveZip struct {
	alpha    float64
	position []int
	clusters map[int]naiveCluster // by first member
	sim      map[[2]int]float64   // by first members, the smaller first
	left     []int                // merges inside each model that are allowed
	lifted   bool
}

func naiveGreedy(f Features, o Options) Zip {
	o, _ = o.resolve(f)
	model, position := f.origin()
	total := len(model)
	corr := f.Correlation()
	z := naiveZip{alpha: o.Alpha, position: position, clusters: map[int]naiveCluster{}, sim: map[[2]int]float64{}}
	for i := range total {
		z.clusters[i] = naiveCluster{[]int{i}, map[int]int{model[i]: 1}}
		for j := i + 1; j < total; j++ {
			z.sim[[2]int{i, j}] = o.round(corr[i*total+j])
		}
	}
	for _, n := range f.Widths {
		z.left = append(z.left, int(math.Ceil(float64((total-o.Width)*n)/float64(total)*o.Beta-1e-9)))
	}
	for len(z.clusters) > o.Width {
		if i, j, ok := z.best(); ok {
			z.merge(i, j)
		} else {
			z.lifted = true
		}
	}
	into := make([]int, total)
	for first, c := range z.clusters {
		for _, k := range c.members {
			into[k] = first
		}
	}
	return number(into)
}

// best returns the best allowed pair.
func (z *naiveZip) best() (bestI, bestJ int, found bool) {
	var bestSim, bestRank float64
	for i := range z.position {
		for j := i + 1; j < len(z.position); j++ {
			a, okA := z.clusters[i]
			b, okB := z.clusters[j]
			if !okA || !okB || !z.lifted && naiveBanned(a, b, z.left) {
				continue
			}
			sim, rank := z.sim[[2]int{i, j}], naiveRank(a, b, z.position)
			if !found || sim > bestSim || sim == bestSim && rank > bestRank {
				bestI, bestJ, bestSim, bestRank, found = i, j, sim, rank, true
			}
		}
	}
	return bestI, bestJ, found
}

// merge lets cluster i take in cluster j.
func (z *naiveZip) merge(i, j int) {
	a, b := z.clusters[i], z.clusters[j]
	for m := range a.perModel {
		if b.perModel[m] > 0 {
			z.left[m]--
		}
	}
	merged := naiveUnion(a, b)
	z.clusters[i] = merged
	delete(z.clusters, j)
	for k, c := range z.clusters {
		if k == i {
			continue
		}
		v := min(z.sim[pairKey(k, i)], z.sim[pairKey(k, j)])
		if slices.Max(counts(naiveUnion(merged, c))) > 1 {
			v = min(v, v*z.alpha)
		}
		z.sim[pairKey(k, i)] = v
	}
}

func pairKey(i, j int) [2]int { return [2]int{min(i, j), max(i, j)} }

func naiveUnion(a, b naiveCluster) naiveCluster {
	u := naiveCluster{slices.Concat(a.members, b.members), map[int]int{}}
	for _, c := range []naiveCluster{a, b} {
		for m, n := range c.perModel {
			u.perModel[m] += n
		}
	}
	return u
}

func counts(c naiveCluster) []int {
	var all []int
	for _, n := range c.perModel {
		all = append(all, n)
	}
	return all
}

func naiveBanned(a, b naiveCluster, left []int) bool {
	for m, n := range left {
		if n <= 0 && a.perModel[m] > 0 && b.perModel[m] > 0 {
			return true
		}
	}
	return false
}

// naiveRank is the order of equal similarities.
func naiveRank(a, b naiveCluster, position []int) float64 {
	u := naiveUnion(a, b)
	if len(u.perModel) < len(a.perModel)+len(b.perModel) {
		return 0
	}
	if slices.Max(counts(u)) > 1 {
		return 1
	}
	rank := 2 * float64(len(u.members))
	for _, k := range u.members {
		if position[k] != position[u.members[0]] {
			return rank
		}
	}
	return rank + 1
}

func TestGreedyAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFeatures(t, drawWidths(t))
		for k := range f.total() { // constants have a test of their own
			f.Cov[k*f.total()+k] = 1
		}
		o := drawOptions(t, f.total())
		z, err := Greedy(f, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Widths) == 1 {
			o.Beta = 1
		}
		if diff := cmp.Diff(naiveGreedy(f, o), z); diff != "" {
			t.Fatalf("(-naive +ours):\n%s", diff)
		}
	})
}

// TestAssignAgainstAllPermutations compares with the best of all n! solutions,
// and at equal sums with their greatest number of fixed points.
func TestAssignAgainstAllPermutations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 6).Draw(t, "n")
		profit := make([]float64, n*n)
		for k := range profit {
			profit[k] = float64(rapid.IntRange(-3, 3).Draw(t, "profit"))
		}
		of, err := Assign(n, profit)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := profitOf(profit, of), bestProfit(profit, n, 0, 0); got != want {
			t.Fatalf("profit %v of %v: want %v", got, of, want)
		}
	})
}

// profitOf is the sum that an assignment collects.
func profitOf(profit []float64, of []int) float64 {
	s := 0.0
	for i, j := range of {
		s += profit[i*len(of)+j]
	}
	return s
}

// bestProfit tries all ways to match the rows from row on with unused columns.
func bestProfit(profit []float64, n, row int, used uint) float64 {
	if row == n {
		return 0
	}
	best := math.Inf(-1)
	for left := ^used & (1<<n - 1); left != 0; left &= left - 1 {
		j := bits.TrailingZeros(left)
		best = max(best, profit[row*n+j]+bestProfit(profit, n, row+1, used|1<<j))
	}
	return best
}

// crouse is the shortest augmenting path algorithm with nothing around it, in
// the order of SciPy's linear_sum_assignment, whose ties it reproduces.
func crouse(n int, profit []float64) []int {
	a := newAssignment(n, profit)
	for start := range n {
		open := make([]int, n)
		for j := range n {
			open[j] = n - 1 - j
			a.cost[j] = math.Inf(1)
		}
		length, i, sink := 0.0, start, free
		closed := open[:0:0]
		for sink == free {
			at, lowest := -1, math.Inf(1)
			for o, j := range open {
				if r := length - profit[i*n+j] - a.u[i] - a.v[j]; r < a.cost[j] {
					a.from[j], a.cost[j] = i, r
				}
				if a.cost[j] < lowest || a.cost[j] == lowest && a.rowOf[j] == free {
					lowest, at = a.cost[j], o
				}
			}
			length = lowest
			j := open[at]
			closed = append(closed, j)
			open[at] = open[len(open)-1]
			open = open[:len(open)-1]
			if i = a.rowOf[j]; i == free {
				sink = j
			}
		}
		a.u[start] += length
		for _, j := range closed {
			if i := a.rowOf[j]; i != free {
				a.u[i] += length - a.cost[j]
			}
			a.v[j] -= length - a.cost[j]
		}
		for j := sink; j != free; {
			i := a.from[j]
			next := a.colOf[i]
			a.match(i, j)
			j = next
		}
	}
	return a.colOf
}

func TestAssignAgainstPlainCrouse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFeatures(t, []int{rapid.IntRange(1, 40).Draw(t, "n")})
		n := f.total()
		of, err := Assign(n, f.Cov)
		if err != nil {
			t.Fatal(err)
		}
		got, want := profitOf(f.Cov, of), profitOf(f.Cov, crouse(n, f.Cov))
		if math.Abs(got-want) > 1e-12*float64(n) {
			t.Fatalf("profit %v of %v: want %v", got, of, want)
		}
	})
}
