// Package cost counts the arithmetic and the parameters of a model, node by node, from its shapes.
//
//	report, err := cost.AtBatch(m, 1)
//	conv, ok := report.Node(n) // conv.FLOPs, conv.Params
//
// # FLOPs
//
// A multiplication and an addition count as one FLOP each, so a multiply-accumulate counts as two.
//
// Contractions are counted exactly, and padding as if it were computed: an output element of K products costs
// 2K, whether there is a bias or not, since the accumulator starts at the bias (without one the first addition
// is saved, which nobody counts). Conv: K = C/group·∏kernel. ConvTranspose: every input element meets
// M/group·∏kernel weights. Gemm, MatMul: K is the inner size; factors alpha and beta other than 1 add an
// operation each. Einsum: one operation per operand for each point of the full index space. LSTM, GRU, RNN: the
// products with W and R in every step, without the gates' functions.
//
// All else is small beside them, and counted by convention, as rules.go lists it: an arithmetic operation, a
// comparison or an elementary function (exp, tanh, erf, sqrt) is one operation, a composite function as many as
// its formula has. Moving data is free. What does not depend on the model's inputs is free as well: engines
// compute it once, on loading.
//
// # Parameters
//
// Elements of initializers and Constant nodes, except integers of 32 and 64 bits and bools (shapes, indices,
// masks) and scalars (bounds, epsilons). The mean and the variance of a BatchNormalization count: they are numbers
// in the file, though no optimiser touched them. A tensor that several nodes read counts once, at the first.
//
// # What is not known
//
// A node without a rule (control flow, fused attention, sorting, functions of the model's own) and one whose sizes
// are not known count as 0 FLOPs and are listed in Report.Unknown: the total is then a lower bound.
package cost
