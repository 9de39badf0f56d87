package match

import (
	"cmp"
	"fmt"
	"slices"
)

// dependentRatio: a feature whose variance is explained by others up to this share is a linear function of
// them, but for the rounding of covariances that were summed in float32. So is one that is correlated up to it
// with another: what many steps leave of its variance can be more, but is rounding too.
const dependentRatio = 1e-6

// Ranking orders features by how much each explains of what those before it leave unexplained.
type Ranking struct {
	// Order are the features worth keeping, the best first: at most the rank of the covariance, without
	// constant features.
	Order []int
	// Unexplained[k] is the share of the weighted variance that no linear function of the first k features
	// explains, len(Order)+1 values from 1 down to about 0.
	Unexplained []float64
}

// At is the unexplained share where k features are kept, 0 beyond the last one that explains anything.
func (r Ranking) At(k int) float64 {
	if k >= len(r.Unexplained) {
		return 0
	}
	return r.Unexplained[k]
}

// Rank orders the features greedily. What matters of features is what their readers make of them: with G = WᵀW of
// a reader's weights W and R the covariance of what is unexplained so far where it reads, the next feature is the
// one that lowers the sum of tr(G·R) over all readers the most,
//
//	k = argmax Σ (R·G·R)_kk / R_kk        R ← R − r_k·r_kᵀ/R_kk
//
// which is column subset selection (Farahat, Ghodsi, Kamel: Efficient greedy feature selection for unsupervised
// learning, KAIS 2013) with the error weighted by its readers. It is a pivoted Cholesky decomposition for each reader, in
// blocks: a few dozen features are ranked among the most promising ones, then all others are brought up to date by matrix
// products. A block ends where one that was left out could be better: what a feature explains rarely grows when another is
// ranked. It takes (rows + ranked)·O operations for each ranked feature and reader, with rows those of W, at most O.
func Rank(f Features) (Ranking, error) {
	if err := f.validate(); err != nil {
		return Ranking{}, err
	}
	return f.rank(f.total())
}

// rank ranks the first features only, as many as given.
func (f Features) rank(most int) (Ranking, error) {
	n := f.total()
	var all rankers
	for _, r := range f.readers() {
		if len(r.Cov) != n*n || r.Weight != nil && len(r.Weight) != n*n || len(r.Rows)%max(n, 1) != 0 {
			return Ranking{}, fmt.Errorf("match: a reader of %d features with matrices of %d and %d values", n, len(r.Cov), len(r.Weight))
		}
		f.Cov = r.Cov
		one, err := newRanker(f, r)
		if err != nil {
			return Ranking{}, err
		}
		one.columns = make([]float64, 0, min(most, n)*n)
		all = append(all, one)
	}
	return all.rank(min(most, n), shortlisted, blockSize)
}

const (
	// shortlisted is the number of features of which a block is ranked.
	shortlisted = 512
	// blockSize is the most that is ranked in one block.
	blockSize = 128
)

// rankers are the readers of the same features.
type rankers []*ranker

// rank ranks the first features, as many as most, in blocks of that size at most, of which each is ranked among so many.
func (rs rankers) rank(most, among, block int) (Ranking, error) {
	out := Ranking{Unexplained: []float64{1}}
	all := rs.remaining()
	for len(out.Order) < most {
		short, bar := rs.shortlist(among)
		if len(short) == 0 {
			break // all that are left depend on those ranked
		}
		if err := rs.each(func(r *ranker) error { return r.begin(short) }); err != nil {
			return Ranking{}, err
		}
		for n := 0; n < block && len(out.Order) < most; n++ {
			at, score := rs.next(short)
			if at < 0 || n > 0 && score < bar {
				break
			}
			for _, r := range rs {
				r.take(at)
			}
			out.Order = append(out.Order, short[at])
			out.Unexplained = append(out.Unexplained, max(rs.remaining(), 0)/all)
		}
		if err := rs.each((*ranker).end); err != nil {
			return Ranking{}, err
		}
	}
	return out, nil
}

// each calls f for all readers, side by side: they share nothing.
func (rs rankers) each(f func(*ranker) error) error {
	return inChunks(len(rs), 1, func(k, _ int) error { return f(rs[k]) })
}

func (rs rankers) remaining() float64 {
	total := 0.0
	for _, r := range rs {
		total += r.remaining
	}
	return total
}

// score is what feature k would explain; free is false where it depends on those ranked.
func (rs rankers) score(k int) (score float64, free bool) {
	for _, r := range rs {
		if r.left[k] > r.floor[k] {
			score, free = score+r.gain[k]/r.left[k], true
		}
	}
	return score, free
}

// shortlist returns so many of the features that would explain most, in ascending order, and what the best of the others
// would.
func (rs rankers) shortlist(most int) (short []int, bar float64) {
	scores := make([]float64, len(rs[0].left))
	for k := range scores {
		score, free := rs.score(k)
		if scores[k] = score; free {
			short = append(short, k)
		}
	}
	if len(short) <= most {
		return short, 0
	}
	slices.SortStableFunc(short, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	bar = scores[short[most]]
	short = short[:most]
	slices.Sort(short)
	return short, bar
}

// next is the place in a shortlist of the feature to rank next, the first of those that are equal but for rounding; -1 where
// all depend on those ranked.
func (rs rankers) next(short []int) (best int, most float64) {
	best = -1
	for at, k := range short {
		if score, free := rs.score(k); free && (best < 0 || score > most*(1+defaultTie)) {
			best, most = at, score
		}
	}
	return best, most
}
