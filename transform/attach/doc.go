// Package attach edits merged files: heads are taken out and attached, and everything else stays byte for byte.
//
// A new head is what is left of a model where a merged file's trunk ends. Which of the model's nodes the trunk
// computes already is found by structure (transform/pair), whatever the widths: the trunk's features need not be the
// model's, in number or in order. A linear map from the trunk's features to the model's own stands at each crossing,
// folded into the weights that read it where there are some (Crossing, Map, Build).
package attach
