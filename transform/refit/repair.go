package refit

import (
	"context"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"gonum.org/v1/gonum/mat"
)

// Node is a linear node of the merged trunk that is to be corrected.
type Node struct {
	Group  int    // its group in the pairing
	Name   string // for reports
	Output string // the value it makes in the merged graph, before the activation
	Axis   int    // the axis of Output that counts channels
	Weight string // its weights, Weights axis WeightAxis counting channels
	Bias   string // its bias [channels], "" where it has none

	WeightAxis int

	// Mean and Std of each merged channel, as its members have them in the sources (mean over members).
	Mean, Std []float64
	// Members are the sources' own values of this node.
	Members []Member
}

// Member is a source's value that a merged value stands for: channel p of it belongs to merged channel
// To[p], with weight Coef[p] in the merge (M).
type Member struct {
	Value string // in the graph that runs the sources side by side
	To    []int
	Coef  []float64
	// Mix, where not nil, has combinations instead: merged channel q is Σ_p Mix[q, p]·channel p.
	Mix *mat.Dense
}

// Outcome is what Repair did to a node.
type Outcome struct {
	Node    string `json:"node"`
	Applied bool   `json:"applied"`
	Why     string `json:"why,omitempty"` // why not, "" where applied
	// Before and After are the mean squared error against the merge of the sources' values on held-out samples;
	// 0 where there are none.
	Before   float64 `json:"error_before"`
	After    float64 `json:"error_after"`
	Clamped  int     `json:"channels_clamped"`    // whose gain hit its bounds
	Left     int     `json:"channels_left_alone"` // that do not vary
	MaxGain  float64 `json:"largest_gain"`
	HeldOut  int     `json:"held_out_samples"`
	Channels int     `json:"channels"`
}

// Limits of a repair (see Jordan et al. 2023 for the formula; the bounds are ours).
const (
	maxGain = 4    // a gain beyond it says that the channel is lost rather than shrunk
	tinyStd = 1e-6 // of the node's median deviation: below, there is nothing to scale
)

// repairSamples is the number of samples on which means and deviations are measured, if there are so many; more
// change the result by less than noise (docs/refit.md).
var repairSamples = 384

// Repair gives every channel c of nodes, in topological order, its members' mean and deviation:
//
//	w_c ← w_c·σ_t/σ,  b_c ← (b_c − μ)·σ_t/σ + μ_t
//
// where μ, σ are measured over fit in the merged network as it is then, all earlier repairs included. Where
// held-out samples are given, a repair is dropped if it raises the node's squared error there. merged is
// changed in place; side runs the sources. Errors are the engine's, or fault.Output (scratch space).
func Repair(ctx context.Context, e calibrate.Engine, merged, side *onnx.Model, nodes []Node, fit, held calibrate.Source, o Options) ([]Outcome, error) {
	r := &repairer{nodes: nodes, merged: merged}
	if err := r.open(e, side, fit, held, o); err != nil {
		return nil, err
	}
	defer r.store.close()
	for k := range nodes {
		if err := r.node(ctx, k); err != nil {
			return nil, fault.As(err).AtNode(nodes[k].Name)
		}
	}
	return r.outcomes, nil
}

// repairer walks the merged network over the samples to fit, and over held-out ones together with the
// sources.
type repairer struct {
	merged      *onnx.Model
	nodes       []Node
	fit         *walk
	held, truth *walk // merged and sources over held-out samples; nil without
	store       *store
	outcomes    []Outcome
}

func (r *repairer) open(e calibrate.Engine, side *onnx.Model, fit, held calibrate.Source, o Options) (err error) {
	var mine, theirs [][]string
	for _, n := range r.nodes {
		mine = append(mine, []string{n.Output})
		var values []string
		for _, m := range n.Members {
			values = append(values, m.Value)
		}
		theirs = append(theirs, values)
	}
	o = o.WithDefaults()
	r.store = newStore(o.Memory, o.Scratch)
	if r.fit, err = newWalk(e, r.merged, thin(fit, repairSamples), mine, r.store, o); err != nil {
		return err
	}
	if held == nil || held.Samples() == 0 {
		return nil
	}
	if r.held, err = newWalk(e, r.merged, held, mine, r.store, o); err != nil {
		return err
	}
	r.truth, err = newWalk(e, side, held, theirs, r.store, o)
	return err
}

// node repairs one node and goes on from there.
func (r *repairer) node(ctx context.Context, k int) error {
	n := r.nodes[k]
	for _, w := range []*walk{r.fit, r.held, r.truth} {
		if w != nil {
			if err := w.advance(ctx); err != nil {
				return err
			}
		}
	}
	mean, std, err := channelStats(r.fit, n.Output, n.Axis)
	if err != nil {
		return err
	}
	out := Outcome{Node: n.Name, Channels: len(mean), MaxGain: 1}
	gain, shift := n.affine(mean, std, &out)
	out.Applied = true
	if r.held != nil {
		if err := r.judge(n, gain, shift, &out); err != nil {
			return err
		}
	}
	r.outcomes = append(r.outcomes, out)
	if !out.Applied {
		return nil
	}
	for _, w := range []*walk{r.fit, r.held} {
		if w != nil {
			if err := apply(w, n.Output, n.Axis, gain, shift); err != nil {
				return err
			}
		}
	}
	return scaleNode(r.merged, n, gain, shift)
}

// affine is the gain and shift of every channel: z ← gain·z + shift.
func (n Node) affine(mean, std []float64, out *Outcome) (gain, shift []float64) {
	floor, floorT := tinyStd*median(std), tinyStd*median(n.Std)
	gain, shift = make([]float64, len(mean)), make([]float64, len(mean))
	for c := range mean {
		g := 1.0
		switch {
		case std[c] <= floor || n.Std[c] <= floorT:
			out.Left++
		default:
			g = n.Std[c] / std[c]
			if g > maxGain || g < 1.0/maxGain {
				out.Clamped++
				g = min(max(g, 1.0/maxGain), maxGain)
			}
		}
		gain[c], shift[c] = g, n.Mean[c]-g*mean[c]
		out.MaxGain = max(out.MaxGain, g)
	}
	return gain, shift
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// judge measures the node's error on held-out samples before and after, and drops a repair that raises it.
func (r *repairer) judge(n Node, gain, shift []float64, out *Outcome) error {
	before, after, count, err := r.heldError(n, gain, shift)
	if err != nil {
		return err
	}
	out.HeldOut = r.held.samples()
	out.Before, out.After = before/count, after/count
	if math.IsNaN(after) || after > before {
		out.Applied, out.Why = false, "it raises the error on held-out samples"
	}
	return nil
}
