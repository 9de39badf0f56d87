// Package refit corrects a merged network, node by node from the input on, by what really flows through it.
//
// A walk computes each node of the merged network once for every sample: it stops in front of or behind every
// node that is to be corrected, keeps the values that later nodes still need (the frontier), and goes on with
// the corrected weights. Frontiers beyond a memory budget are spilled to a scratch file. The result does not
// depend on the number of workers.
//
// Repair is the correction of REPAIR (Jordan et al. 2023, arXiv 2211.08403) on folded networks: averaging
// features shrinks their variance, so every merged channel is given back the mean and deviation that its
// members have in the source models.
//
// LeastSquares refits the weights themselves, of trunk and heads, to what the sources compute. docs/refit.md has
// the formulas, and the measurements behind the choices made here.
package refit
