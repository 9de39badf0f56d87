// Package merge makes one model of several: a shared trunk, whose weights are the sources' weights
// merged by an assignment for each feature space, and one head per source.
//
//	trunk, err := merge.FindTrunk(sources, merge.Cut{})             // which nodes are shared
//	merged, err := merge.Build(sources, trunk, assignments, options) // the merged graph
//
// An assignment is applied by adding up rows and columns (scatter-add) in float64, rounded once.
package merge
