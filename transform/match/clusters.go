package match

import (
	"math"
	"math/bits"
	"slices"
)

// real is the number type of a working matrix.
type real interface{ float32 | float64 }

// rescan in place of a partner: the row's best pair must be looked for again.
const rescan = -1

// clusters merges features pair by pair, the most similar pair first (ZipIt,
// Algorithm 1), in O(n²) steps in practice: every row knows its best partner.
// A merge changes the best pair of few rows, and these are looked at again only
// once they could win. The worst case is O(n³), the memory one O² matrix.
//
// A cluster is known by its first member, so clusters i < j merge into i.
type clusters[T real] struct {
	n     int
	sim   []T        // n×n, symmetric, finite; rows and columns of merged ones are stale
	best  []bound[T] // len n
	alive []int      // the clusters, ascending
	into  []int      // len n: the cluster that took k in, k itself while alive

	models   []uint64 // the set of models that a cluster counts for
	repeats  []bool   // whether a cluster has two members of one model
	position []int    // the position that all members share in their models, or -1

	// Clusters with a common bit in banned must not merge. The models that have
	// spent their budgets give the bits, and a merged cluster inherits both.
	banned []uint64
	budget []int // len N: merges inside a model that are still allowed
	lifted bool  // the ban proved impossible and is off

	alpha T
	// published switches to the rules of the published program: see Reference.
	published bool
}

// bound is the best pair (r, partner) of a row r, over partners > r; of equal
// ones that of the highest rank, then that of the smallest partner. With partner rescan it
// is an upper bound of the best pair.
type bound[T real] struct {
	value   T
	rank    int
	partner int
}

// above reports whether b comes before c, rows and partners aside.
func (b bound[T]) above(c bound[T]) bool {
	return b.value > c.value || b.value == c.value && b.rank > c.rank
}

// newClusters makes every feature its own cluster. sim is n×n and is
// overwritten; model and position have len n, budget one number per model.
func newClusters[T real](sim []T, model, position, budget []int) *clusters[T] {
	n := len(model)
	c := &clusters[T]{
		n:        n,
		sim:      sim,
		best:     make([]bound[T], n),
		alive:    make([]int, n),
		into:     make([]int, n),
		models:   make([]uint64, n),
		repeats:  make([]bool, n),
		position: slices.Clone(position),
		banned:   make([]uint64, n),
		budget:   slices.Clone(budget),
	}
	for k := range n {
		c.alive[k], c.into[k] = k, k
		c.models[k] = 1 << model[k]
	}
	c.forget()
	return c
}

// forget makes every row look for its best pair again.
func (c *clusters[T]) forget() {
	for k := range c.best {
		c.best[k] = bound[T]{value: T(math.Inf(1)), partner: rescan}
	}
}

// run merges until width clusters are left. Where the ban on same-model merges
// leaves no pair (three models and more, or a width below n), it is lifted for
// the rest.
func (c *clusters[T]) run(width int) {
	for len(c.alive) > width {
		i, j, ok := c.next()
		if !ok {
			c.lift()
			continue
		}
		c.merge(i, j)
	}
}

// lift ends the ban on same-model merges. Similarities are as they would be
// had there been none, for a ban leaves sim alone.
func (c *clusters[T]) lift() {
	c.lifted = true
	clear(c.banned)
	c.forget()
}

// next returns the best allowed pair, i < j: the highest similarity, then the
// highest rank, the smallest i, the smallest j.
func (c *clusters[T]) next() (i, j int, ok bool) {
	for {
		top := c.alive[0]
		for _, r := range c.alive[1:] {
			if c.best[r].above(c.best[top]) {
				top = r
			}
		}
		b := c.best[top]
		switch {
		case math.IsInf(float64(b.value), -1):
			return 0, 0, false
		case b.partner != rescan && c.banned[top]&c.banned[b.partner] == 0:
			return top, b.partner, true
		}
		c.best[top] = c.scan(top)
	}
}

// none is the bound of a row without an allowed partner.
func none[T real]() bound[T] {
	return bound[T]{value: T(math.Inf(-1)), partner: rescan}
}

// scan returns the best pair of row r.
func (c *clusters[T]) scan(r int) bound[T] {
	row := c.sim[r*c.n : (r+1)*c.n]
	at, _ := slices.BinarySearch(c.alive, r)
	best := none[T]()
	for _, k := range c.alive[at+1:] {
		if row[k] < best.value {
			continue
		}
		if b := c.pair(r, k); b.above(best) {
			best = b
		}
	}
	return best
}

// pair returns the pair (r, k), none if it is banned.
func (c *clusters[T]) pair(r, k int) bound[T] {
	if c.banned[r]&c.banned[k] != 0 {
		return none[T]()
	}
	return bound[T]{value: c.sim[r*c.n+k], rank: c.rank(r, k), partner: k}
}

// rank orders pairs of equal similarity: pairs across models before those
// inside one, so that exact duplicates are shared; of these the larger clusters
// first, so that clusters of one feature per model are completed one by one;
// then features at the same position of their models.
func (c *clusters[T]) rank(i, j int) int {
	switch {
	case c.published || c.models[i]&c.models[j] != 0:
		return 0
	case c.repeats[i] || c.repeats[j]:
		return 1
	}
	rank := 2 * bits.OnesCount64(c.models[i]|c.models[j])
	if c.position[i] == c.position[j] && c.position[i] >= 0 {
		rank++
	}
	return rank
}

// merge lets cluster i take cluster j in, i < j.
func (c *clusters[T]) merge(i, j int) {
	at, _ := slices.BinarySearch(c.alive, j)
	c.alive = slices.Delete(c.alive, at, at+1)
	c.into[j] = i

	common := c.models[i] & c.models[j]
	if !c.published { // there a cluster keeps the label of its first member
		c.models[i] |= c.models[j]
	}
	c.repeats[i] = c.repeats[i] || c.repeats[j] || common != 0
	c.banned[i] |= c.banned[j]
	if c.position[i] != c.position[j] {
		c.position[i] = -1
	}
	c.update(i, j)
	c.spend(common)
}

// update sets the similarities of cluster i, which has taken in j, to the
// penalised smaller one of both, and the best pairs of the rows it meets.
func (c *clusters[T]) update(i, j int) {
	rowI, rowJ := c.sim[i*c.n:(i+1)*c.n], c.sim[j*c.n:(j+1)*c.n]
	best := none[T]()
	for _, k := range c.alive {
		if p := c.best[k].partner; p == i || p == j {
			c.best[k].partner = rescan
		}
		if k == i {
			continue
		}
		v := c.penalise(min(rowI[k], rowJ[k]), i, k)
		rowI[k], c.sim[k*c.n+i] = v, v
		switch {
		case k < i && v >= c.best[k].value:
			c.offer(k, i)
		case k > i && v >= best.value:
			if b := c.pair(i, k); b.above(best) {
				best = b
			}
		}
	}
	c.best[i] = best
}

// offer tells row r of a new similarity to k > r. It may beat even an upper
// bound: a penalty raises negative numbers, a larger cluster has a higher rank.
func (c *clusters[T]) offer(r, k int) {
	b, old := c.pair(r, k), c.best[r]
	equal := b.value == old.value && b.rank == old.rank
	if b.above(old) || equal && k < old.partner {
		c.best[r] = b
	}
}

// penalise returns the similarity v of the merged cluster i to k, times α where
// the paper's penalty is due. The published program multiplies always. Here a
// penalty never raises a (negative) similarity, and costs nothing where
// i and k together still hold at most one feature of each model: with more than
// two models a cluster is not punished for taking in one of each.
func (c *clusters[T]) penalise(v T, i, k int) T {
	if c.published {
		return c.alpha * v
	}
	if v <= 0 || !c.repeats[i] && !c.repeats[k] && c.models[i]&c.models[k] == 0 {
		return v
	}
	return c.alpha * v
}

// spend charges a merge to the budgets of the models in common, which had
// features on both sides.
func (c *clusters[T]) spend(common uint64) {
	for ; common != 0; common &= common - 1 {
		m := bits.TrailingZeros64(common)
		c.budget[m]--
		if c.budget[m] <= 0 {
			c.ban(m)
		}
	}
}

// ban forbids merges between any two of the clusters that now count for model m.
func (c *clusters[T]) ban(m int) {
	if c.lifted {
		return
	}
	for _, k := range c.alive {
		c.banned[k] |= c.models[k] & (1 << m)
	}
}
