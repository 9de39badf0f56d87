package transform

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// CutInfo is a place to end the trunk at.
type CutInfo struct {
	Number      int     `json:"number"` // for --until cut:N
	Value       string  `json:"value"`
	Node        string  `json:"node"`
	FLOPsShare  float64 `json:"flops_share"`  // of the first model's FLOPs that lie in the trunk
	ParamsShare float64 `json:"params_share"` // of its parameters
	Gathers     int     `json:"gathers"`      // crossing values that every head has to gather
	Crossing    int     `json:"crossing"`     // values that cross the cut
}

// Shares are the parts of the first model that a trunk holds, 0 to 1.
type Shares struct {
	FLOPs  float64 `json:"flops"`
	Params float64 `json:"params"`
}

// Widest is the largest trunk. Of a single model it is the one that it shares with another of its kind, whatever
// the weights.
func (p *Prepared) Widest() (*merge.Trunk, error) {
	return p.findTrunk(merge.Cut{Distinct: len(p.Sources.Models) == 1}, Settings{})
}

// findTrunk is the largest trunk, or what a cut leaves of it. Where no cut is asked for, it ends before recurrences of which
// each model keeps its own unless sharing what follows saves FLOPs: the next layer reads the features of all models, which
// costs what that layer costs in all of them.
func (p *Prepared) findTrunk(cut merge.Cut, o Settings) (*merge.Trunk, error) {
	t, err := p.longestTrunk(cut, o)
	if err == nil {
		p.markMixed(t, o)
	}
	return t, err
}

func (p *Prepared) longestTrunk(cut merge.Cut, o Settings) (*merge.Trunk, error) {
	t, err := merge.FindTrunk(p.Sources, cut)
	apart := func(sp *space.Space) bool { return keptApart(sp, t, o) }
	if err != nil || len(p.Sources.Models) < 2 || cut.None || len(cut.Values) > 0 || !slices.ContainsFunc(t.Analysis.Spaces, apart) {
		return t, err
	}
	cut.NoRecurrence = true
	short, err := merge.FindTrunk(p.Sources, cut)
	if err != nil {
		return nil, err
	}
	flops, err := p.flopsAt(t, p.ownWidths(t, o), nil)
	if err != nil {
		return nil, err
	}
	without, err := p.flopsAt(short, p.ownWidths(short, o), nil)
	if err != nil {
		return nil, err
	}
	if least, err := p.flopsLimit(recurrenceGain); err != nil || flops < without-least {
		return t, err
	}
	return short, nil
}

// recurrenceGain is the share of one source's FLOPs that sharing what lies behind recurrences has to save.
const recurrenceGain = 0.01

// Shares counts what a trunk holds of the first model.
func (p *Prepared) Shares(t *merge.Trunk) (Shares, error) {
	c, err := cost.AtBatch(p.Sources.Base().Models[0].Model, 1)
	if err != nil {
		return Shares{}, err
	}
	return p.shares(t, c), nil
}

func (p *Prepared) shares(t *merge.Trunk, c cost.Report) Shares {
	var flops, params int64
	for _, n := range t.Common(p.Sources) {
		if t.Beside(p.Sources, n) {
			continue
		}
		node, _ := c.Node(n)
		flops, params = flops+node.FLOPs, params+node.Params
	}
	return Shares{ratio(flops, c.FLOPs), ratio(params, c.Params)}
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Cuts lists the places at which a single value crosses from trunk to heads: the end of each block of a
// residual network, each activation of a plain one. Others can be named by their values.
func (p *Prepared) Cuts() ([]CutInfo, error) {
	full, err := p.Widest()
	if err != nil {
		return nil, err
	}
	c, err := cost.AtBatch(p.Sources.Base().Models[0].Model, 1)
	if err != nil {
		return nil, err
	}
	var out []CutInfo
	var last string
	for _, value := range full.Values(p.Sources) {
		t, err := full.Narrow(p.Sources, merge.Cut{Values: []string{value}})
		if err != nil {
			return nil, err
		}
		all := t.Crossings(p.Sources)
		crossing := slices.DeleteFunc(slices.Clone(all), func(c merge.Crossing) bool { return c.Aside })
		if len(crossing) != 1 || crossing[0].Value == last {
			continue // several values cross, others than for outputs on the way, or an activation behind was absorbed: the same cut
		}
		last = crossing[0].Value
		s := p.shares(t, c)
		if s.FLOPs == 0 && s.Params == 0 && len(out) > 0 {
			continue // sizes and constants alone: the cuts before share more
		}
		info := CutInfo{Number: len(out) + 1, Value: last, FLOPsShare: s.FLOPs, ParamsShare: s.Params, Crossing: len(all)}
		if n := p.Sources.Models[0].Index.Producer(last); n != nil {
			info.Node = n.GetName()
		}
		for _, c := range all {
			if c.Gathers {
				info.Gathers++
			}
		}
		out = append(out, info)
	}
	return out, nil
}

// ParseUntil reads --until: names of values separated by commas ("b:NAME" is head b's), "cut:N" as
// numbered by Cuts, or "P%": the single-value cut whose share of the FLOPs is nearest to P.
func (p *Prepared) ParseUntil(until string) (merge.Cut, error) {
	percent, isShare := strings.CutSuffix(until, "%")
	number, isNumber := strings.CutPrefix(until, "cut:")
	switch {
	case until == "":
		return merge.Cut{}, nil
	case !isShare && !isNumber:
		return merge.Cut{Values: strings.Split(until, ",")}, nil
	}
	cuts, err := p.Cuts()
	if err != nil {
		return merge.Cut{}, err
	}
	if len(cuts) == 0 {
		return merge.Cut{}, fault.New(fault.Unsupported, "no_cut", "the models have no common trunk to cut")
	}
	if isNumber {
		k, err := strconv.Atoi(number)
		if err != nil || k < 1 || k > len(cuts) {
			return merge.Cut{}, fault.New(fault.Usage, "unknown_cut", "there is no cut %q: they are numbered 1 to %d", until, len(cuts)).
				WithHint("`onnx-zip inspect` lists them")
		}
		return merge.Cut{Values: []string{cuts[k-1].Value}}, nil
	}
	share, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
	if err != nil || !(share >= 0 && share <= 100) {
		return merge.Cut{}, fault.New(fault.Usage, "unknown_cut", "--until %s is no share of the FLOPs", until).
			WithHint("give a number from 0%% to 100%%, cut:N, or names of values")
	}
	best := cuts[0]
	for _, c := range cuts {
		if math.Abs(100*c.FLOPsShare-share) < math.Abs(100*best.FLOPsShare-share) {
			best = c
		}
	}
	return merge.Cut{Values: []string{best.Value}}, nil
}

// SharedLine is the first line of merge and inspect: how much is shared, and why no more.
func (p *Prepared) SharedLine(t *merge.Trunk) (string, error) {
	s, err := p.Shares(t)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("shared trunk: %s %% of FLOPs, %d of %d nodes, %d spaces", percent(s.FLOPs), len(t.Common(p.Sources)),
		len(p.Sources.Base().Models[0].Index.Order), len(t.Analysis.Spaces))
	if nodes, share, err := p.again(t); err != nil {
		return "", err
	} else if nodes > 0 {
		line += fmt.Sprintf("; each head computes %d of these nodes (%s %% of FLOPs) again, for outputs on the way", nodes, percent(share))
	}
	if len(t.Ends) > 0 && t.Ends[0].Node == "" {
		line += "; " + t.Ends[0].Why
	} else if len(t.Ends) > 0 {
		line += fmt.Sprintf("; ends at %s because %s", t.Ends[0].Node, t.Ends[0].Why)
	}
	return line, nil
}

// again counts the nodes of the trunk that a head computes too, and their share of its source's FLOPs: those of the
// head that has most.
func (p *Prepared) again(t *merge.Trunk) (nodes int, share float64, err error) {
	for i, m := range p.Sources.Models {
		list := t.Again(p.Sources, i)
		if len(list) <= nodes {
			continue
		}
		c, err := cost.AtBatch(m.Model, 1)
		if err != nil {
			return 0, 0, err
		}
		var flops int64
		for _, n := range list {
			node, _ := c.Node(n)
			flops += node.FLOPs
		}
		nodes, share = len(list), ratio(flops, c.FLOPs)
	}
	return nodes, share, nil
}

// percent writes a share without claiming all of it where some is left: 99.96 rather than 100.
func percent(share float64) string {
	for digits := 0; digits < 4; digits++ {
		text := strconv.FormatFloat(100*share, 'f', digits, 64)
		if v, _ := strconv.ParseFloat(text, 64); v != 100 || share == 1 {
			return text
		}
	}
	return ">99.999"
}
