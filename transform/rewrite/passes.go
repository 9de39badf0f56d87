package rewrite

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Pass is one rewriting of a model.
type Pass struct {
	Name string
	// Why says what the pass is good for.
	Why string
	// After names the passes that must have run before this one, each with the reason.
	After []Constraint
	// Run changes m and records every change in r. What it returns as an error ends the rewriting.
	Run func(m *onnx.Model, r *Record) error
}

// Constraint is a pass that must come earlier in the table, and why.
type Constraint struct{ Pass, Why string }

// Passes lists the passes in the order in which they run. The whole table runs again until a round
// changes nothing, so an order constraint says what saves a round or what would go wrong in the first.
var Passes = []Pass{
	{Name: "functions", Why: "operators are judged one by one, so local functions are inlined", Run: inlineFunctions},
	{Name: "constants", Why: "a weight is an initializer, whatever the exporter kept it in", Run: liftConstants,
		After: []Constraint{{"functions", "bodies of functions are full of Constant nodes"}}},
	{Name: "identity", Why: "nodes that pass a value on unchanged hide neighbours from each other", Run: dropIdentities,
		After: []Constraint{{"constants", "whether a Pad or Reshape does something is told by a constant"}}},
	{Name: "fold", Why: "what is computed from constants alone is a constant", Run: foldConstants,
		After: []Constraint{{"constants", "only initializers count as constants"}}},
	{Name: "operands", Why: "a + w and w + a are the same", Run: orderOperands,
		After: []Constraint{{"fold", "which operand is constant is known then"}}},
	{Name: "attributes", Why: "equal nodes have equal attributes", Run: normalizeAttributes,
		After: []Constraint{{"fold", "kernel sizes are read off constant weights"}}},
	{Name: "spelling", Why: "what a constant or an attribute can say in several ways is said in one", Run: oneSpelling,
		After: []Constraint{{"operands", "the constant is the second operand"}, {"attributes", "the other attributes are complete then"}}},
	{Name: "common", Why: "some exporters write what is computed twice as two nodes, others as one", Run: dropRepeated,
		After: []Constraint{{"operands", "constants are the second operands"}, {"spelling", "what has several spellings has one then"}}},
	{Name: "compose", Why: "functions that some exporters write out and others have an operator for", Run: compose,
		After: []Constraint{{"operands", "constants are the second operands"}, {"spelling", "gains and shifts have one axis then"}}},
	{Name: "pads", Why: "zeros around a map belong to the window that reads them", Run: foldPads,
		After: []Constraint{{"attributes", "the window's own pads are explicit then"}}},
	{Name: "pools", Why: "a mean over all positions is GlobalAveragePool", Run: globalPools,
		After: []Constraint{{"attributes", "kernel, pads and axes are complete then"}}},
	{Name: "reshape", Why: "shapes computed on the way, and channel counts in them, hide what is kept", Run: simplifyReshapes,
		After: []Constraint{{"fold", "what is left to compute then depends on open sizes"},
			{"pools", "it makes a Flatten of its own where others squeeze"}}},
	{Name: "sizes", Why: "exporters take a size from any value that has it, and the graph's inputs have it too", Run: plainSizes,
		After: []Constraint{{"reshape", "most targets are constant then"}}},
	{Name: "packed", Why: "queries, keys and values in one matrix are three", Run: unpack,
		After: []Constraint{{"reshape", "target shapes are constant then"}, {"attributes", "axes are positive then"}}},
	{Name: "splits", Why: "features are cut by Slice everywhere", Run: splitsToSlices,
		After: []Constraint{{"spelling", "sizes are explicit then"}, {"packed", "it knows packed projections by their Split"}}},
	{Name: "branches", Why: "the weights of a split attention belong to branches, not to heads", Run: divideBranches,
		After: []Constraint{{"attributes", "axes are positive then"}, {"reshape", "target shapes are constant then"}}},
	{Name: "rearrange", Why: "features that lie on one axis with samples for a while are followed on an axis of their own", Run: rearrange,
		After: []Constraint{{"attributes", "permutations are explicit then"}, {"reshape", "sizes are known then"}}},
	{Name: "transposes", Why: "axes change places in one step, whether others are joined meanwhile or not", Run: plainTransposes,
		After: []Constraint{{"attributes", "permutations are explicit then"}, {"reshape", "sizes are known then"},
			{"packed", "parts bring Transposes of their own"}}},
	{Name: "scales", Why: "what scales the scores of an attention lies in many places, and belongs right before the product", Run: placeScales,
		After: []Constraint{{"operands", "the number is the second operand"}, {"transposes", "fewer lie between"}}},
	{Name: "linear", Why: "a linear map of a matrix is Gemm(transB=1, alpha=1, beta=1)", Run: unifyLinear,
		After: []Constraint{{"fold", "weights may lie behind a Transpose"}, {"operands", "the bias is the second operand"},
			{"reshape", "matrices are seen to be such"}}},
	{Name: "batchnorm", Why: "statistics are no weights: averaging variances is wrong", Run: removeBatchNorms,
		After: []Constraint{{"identity", "the node before must be the neighbour"},
			{"attributes", "groups and pads are explicit then"}, {"linear", "one form of linear map to fold into"}}},
	{Name: "affine", Why: "a scale or shift of a contraction's outputs belongs into its weights", Run: foldAffine,
		After: []Constraint{{"operands", "the constant is the second operand"}, {"linear", "one form of linear map to fold into"},
			{"batchnorm", "what it leaves may be foldable"}}},
	{Name: "shuffles", Why: "a channel shuffle lays features out so that no axis holds them; weights can take its order", Run: unshuffle,
		After: []Constraint{{"reshape", "target shapes are constant then"}, {"splits", "it follows Slices"},
			{"affine", "gains and shifts lie in the weights then"}}},
	{Name: "outputs", Why: "a value that is an output and read on is two: what is read on has free features", Run: handOut,
		After: []Constraint{{"identity", "an Identity that hands out what nothing else reads goes"},
			{"affine", "what is folded into the weights before an output is no node any more"}}},
	{Name: "unshare", Why: "exporters store equal tensors once, which ties what has nothing to do with each other", Run: unshare,
		After: []Constraint{{"fold", "it recognises tied matrices by their Transpose"}, {"affine", "folding makes copies of its own"}}},
	{Name: "dead", Why: "what nothing reads is no part of the network", Run: dropDead,
		After: []Constraint{{"unshare", "it leaves the nodes and tensors that all others made superfluous"}}},
}

// maxRounds bounds the rounds of the table. Every pass brings a graph closer to the form, so a model
// needs two or three; more is a pair of passes that undo each other.
const maxRounds = 16

// Canonicalize returns a rewritten deep copy of m and what was done to it. The graph is checked before
// the first and after every pass. Errors name the pass where it is to blame.
func Canonicalize(m *onnx.Model) (*onnx.Model, Log, error) {
	m = m.Clone()
	log := newLog()
	if _, err := onnx.NewIndex(m.Graph()); err != nil {
		return nil, nil, fault.As(err).InFile(m.File)
	}
	for round := 0; round < maxRounds; round++ {
		changes := 0
		for i, p := range Passes {
			n, err := run(p, m, &log[i])
			if err != nil {
				return nil, nil, fault.As(err).InFile(m.File)
			}
			changes += n
		}
		if changes == 0 {
			return m, log, nil
		}
	}
	return nil, nil, fault.New(fault.Internal, "rewrite_endless", "the rewriting does not come to an end").InFile(m.File)
}

// run runs one pass, adds what it did to total, and checks the graph it leaves.
func run(p Pass, m *onnx.Model, total *Record) (changes int, err error) {
	r := Record{Pass: p.Name}
	if err := p.Run(m, &r); err != nil {
		return 0, err
	}
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return 0, fault.Wrap(fault.Internal, "rewrite_broken", err, "the pass %q left an invalid graph", p.Name)
	}
	m.Graph().Node = ix.Order // ONNX wants the nodes sorted; exporters and passes may have them otherwise
	total.add(r)
	return r.Changes, nil
}

// checkOrder verifies that Passes obeys its own constraints.
func checkOrder(passes []Pass) error {
	done := map[string]bool{}
	for _, p := range passes {
		if done[p.Name] {
			return fmt.Errorf("two passes are called %q", p.Name)
		}
		for _, c := range p.After {
			if !done[c.Pass] {
				return fmt.Errorf("pass %q must come after %q: %s", p.Name, c.Pass, c.Why)
			}
		}
		done[p.Name] = true
	}
	return nil
}
