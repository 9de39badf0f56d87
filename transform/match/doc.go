// Package match decides which features of several models become one feature
// of the merged model.
//
// It sees nothing but numbers: the features of N models at one space, stacked
// (all of model 0 first, then all of model 1, …) and described by their means
// and their covariance matrix ([Features]). The answer is a [Zip]: for every
// stacked feature the merged feature that it joins. Weights, graphs and
// calibration data are the business of other packages.
//
// Start with [Greedy], the ZipIt! method (Stoica et al., "ZipIt! Merging Models
// from Different Tasks without Training", ICLR 2024, arXiv 2305.03053) with its
// corner cases decided on purpose:
//
//	z, err := match.Greedy(features, match.DefaultOptions())
//
// [Reference] gives the clusters of the paper's published program instead, ties
// and quirks included. [Permute] matches one to one, by linear assignment. The
// others are baselines and controls: [Identity] (plain averaging), [Random],
// [RandomHalves] and [Full] (nothing is merged: the ensemble).
//
// All of them are deterministic, and none of them ever loses a feature.
package match
