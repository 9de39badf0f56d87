// Package refit corrects a merged trunk, node by node from the input on, by what really flows through it.
//
// A walk computes each node of the merged network once for every calibration sample: it stops at every
// node that is to be corrected, keeps the values that later nodes still need (the frontier), lets the
// correction change them in place, and goes on from there. Frontiers beyond a memory budget are spilled
// to a scratch file.
//
// Repair is the correction of REPAIR (Jordan et al. 2023, arXiv 2211.08403) on folded networks: averaging
// features shrinks their variance, so every merged channel is given back the mean and deviation that its
// members have in the source models.
package refit
