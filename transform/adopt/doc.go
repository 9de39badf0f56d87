// Package adopt gives a model the form in which another computes the same function.
//
// Exporters write one network in many ways: attention with heads joined with the batch or as one operator, masks
// computed or stored, sizes by a dozen operators. What transform/rewrite cannot bring to one form by rules is found
// here by running: the other model's graph gets this model's weights, both run on random inputs of several sizes, and
// where a value of the one is a value of the other, the other's way to compute it is adopted. Nothing is taken on
// trust: what does not compute the same stays as it is.
package adopt
