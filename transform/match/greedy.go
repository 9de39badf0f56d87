package match

import "math"

// Greedy zips the features: starting from single features it merges the most
// correlated pair until o.Width are left, where the correlation of a merged
// feature is the smallest one of its members', times α (ZipIt, Algorithm 1 and
// §4). It reads all options but Seed, and differs from the published program
// ([Reference]) on purpose:
//
//   - Dead and constant features correlate with nothing and are set aside. They
//     get one slot for each that every model has, but at least one, and are
//     grouped by their means; the live features get all other slots.
//   - Equal correlations (see Options.Tie) go across models before inside a
//     model, and to the same position first: identical models match by identity.
//   - β limits what a model loses: of its n features at most ⌈(O-Width)·β·n/O⌉
//     merge with one another, whatever else joins them (n, O and Width without
//     the constant ones); none at β = 0. A single model has β = 1. Where no
//     allowed pair is left (three models and more, or a width below n), the
//     limit is lifted for the rest.
//   - α is due only where two features of one model come together. That matters
//     for three models and more: to take in a third model's feature is no
//     repeated merge. And it never raises a (negative) correlation.
//
// Working memory is one float64 matrix of the live features, 8·O² bytes; float32
// could not tell near duplicates (1-c below 1e-7) apart.
func Greedy(f Features, o Options) (Zip, error) {
	o, err := f.prepare(o)
	if err != nil {
		return Zip{}, err
	}
	if len(f.Widths) == 1 {
		o.Beta = 1 // else no pair would be legal
	}
	return bySegment(f, o, greedy)
}

// prepare validates f and o together.
func (f Features) prepare(o Options) (Options, error) {
	if err := f.validate(); err != nil {
		return o, err
	}
	return o.resolve(f)
}

// greedy is Greedy inside one segment.
func greedy(f Features, o Options) (Zip, error) {
	into := make([]int, f.total())
	if o.Width == 1 {
		return number(into), nil // live and constant features have to share
	}
	sigma, typical := f.deviations()
	live, constant := split(sigma)
	slots := f.constantSlots(live, constant, o.Width)
	if len(constant) > 0 {
		f.groupConstants(constant, typical).link(slots, constant, into)
	}
	if len(live) > 0 {
		f.groupLive(live, sigma, o, o.Width-slots).link(o.Width-slots, live, into)
	}
	return number(into), nil
}

// groupLive returns the clusters of the live features before the first merge.
func (f Features) groupLive(live []int, sigma []float64, o Options, width int) *clusters[float64] {
	model, position := f.pickOrigin(live)
	budget := make([]int, len(f.Widths))
	for _, m := range model {
		budget[m]++
	}
	for m, n := range budget {
		share := float64((len(live)-width)*n) / float64(len(live))
		// Capped: a budget of all features is no limit, whatever β is. 1e-9:
		// a product such as 10·0.1 must not be rounded up to 2.
		budget[m] = int(math.Ceil(min(share*o.Beta, float64(n)) - 1e-9))
	}
	c := newClusters(f.correlate(live, sigma, o.round), model, position, budget)
	c.alpha = o.Alpha
	for m, merges := range budget {
		if merges == 0 {
			c.ban(m)
		}
	}
	return c
}

// pickOrigin returns model and position of the features in pick.
func (f Features) pickOrigin(pick []int) (model, position []int) {
	models, positions := f.origin()
	for _, k := range pick {
		model = append(model, models[k])
		position = append(position, positions[k])
	}
	return model, position
}

// link merges down to width clusters and notes in into, which is indexed by
// source feature, the first member of each one's cluster. pick translates.
func (c *clusters[T]) link(width int, pick, into []int) {
	c.run(width)
	for a, k := range pick {
		into[k] = pick[c.into[a]]
	}
}
