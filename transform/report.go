package transform

import (
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Report is what came out of a merge.
type Report struct {
	Shared string        `json:"shared"` // one line: how much is shared and why no more
	Heads  []HeadReport  `json:"heads"`
	Trunk  TrunkReport   `json:"trunk"`
	Spaces []SpaceReport `json:"spaces"`
	// Narrowed has what a budget left of each model behind the trunk, where it was spent there too.
	Narrowed []NarrowReport `json:"narrowed,omitempty"`
	Refit    *RefitReport   `json:"refit,omitempty"`
	Joint    *JointReport   `json:"joint,omitempty"`
	Cost     CostReport     `json:"cost"`
	// HeldOut compares every output with its source on calibration samples that were held out of the refit.
	HeldOut Judgement `json:"held_out,omitempty"`
	// Controls are cheaper merges, refitted alike: what the matching has to beat.
	Controls []Control   `json:"controls,omitempty"`
	Auto     *AutoReport `json:"auto,omitempty"` // with match auto
	Samples  int         `json:"calibration_samples"`
	// Statistics is what the second moments took, of all merges that share them; nil where none were taken.
	Statistics *Kept              `json:"statistics,omitempty"`
	Mask       string             `json:"mask,omitempty"` // the input whose zeros mark tokens that counted in nothing
	Seconds    map[string]float64 `json:"seconds"`        // by stage
	// Operators are those of the merged file that no source has.
	Operators []string `json:"added_operators,omitempty"`

	// Prefixes are what each source does to its inputs by itself, before the first node that is merged.
	Prefixes []PrefixReport `json:"prefixes,omitempty"`
}

// HeadReport is one source.
type HeadReport struct {
	Head    string   `json:"head"`
	File    string   `json:"file"`
	SHA256  string   `json:"sha256"`
	Outputs []string `json:"outputs"` // in the merged file
}

// TrunkReport is the shared part.
type TrunkReport struct {
	Nodes       int         `json:"nodes"`
	FLOPsShare  float64     `json:"flops_share"`
	ParamsShare float64     `json:"params_share"`
	Exact       bool        `json:"exact"` // bit-identical in all sources
	Gathers     int         `json:"gathers"`
	Again       int         `json:"nodes_again"` // that a head computes too, for outputs on the way
	Ends        []EndReport `json:"ends"`
}

// EndReport is a place where the trunk ends.
type EndReport struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// SpaceReport is one space of the trunk.
type SpaceReport struct {
	ID        int    `json:"id"`
	Name      string `json:"name"`
	Dim       int    `json:"dim"`            // features in the first source
	Dims      []int  `json:"dims,omitempty"` // in each source, where they differ
	Width     int    `json:"width"`
	Mode      string `json:"mode"`
	Why       string `json:"why,omitempty"`
	Identical bool   `json:"identical,omitempty"`
	// Combined says that merged features are combinations of all features: nothing sees the space's features one by one.
	Combined bool `json:"combined,omitempty"`
	// Across counts merged features that join features of several models, Within those that join several
	// of one model, Alone those of a single feature.
	Across int `json:"across"`
	Within int `json:"within"`
	Alone  int `json:"alone"`
	// Features counts for each model the merged features that its own go into: as many of them stay distinct. Share is
	// its part in what the merged features imitate; the shares sum up to 1, and are equal where no model is favoured.
	Features []int     `json:"features_by_model"`
	Share    []float64 `json:"share_by_model"`
	// Match is the matching that auto kept, and Residuals what each that was possible leaves unexplained (see AutoReport).
	Match     string             `json:"match,omitempty"`
	Residuals map[string]float64 `json:"residuals,omitempty"`
}

// CostReport compares sizes. FLOPs are for one sample.
type CostReport struct {
	Params         int64   `json:"params"`
	FLOPs          int64   `json:"flops"`
	EnsembleParams int64   `json:"ensemble_params"`
	EnsembleFLOPs  int64   `json:"ensemble_flops"`
	ParamsRatio    float64 `json:"params_ratio"` // to the ensemble
	FLOPsRatio     float64 `json:"flops_ratio"`
}

// report fills in everything but the refit.
func (r *run) report(res *Result, size cost.Report) error {
	whole, trunk := r.p.whole(), r.p.wholeTrunk(res.Trunk)
	shared, err := whole.SharedLine(trunk)
	if err != nil {
		return err
	}
	shares, err := whole.Shares(trunk)
	if err != nil {
		return err
	}
	again, _, err := whole.again(trunk)
	if err != nil {
		return err
	}
	rep := &res.Report
	rep.Shared, rep.Seconds = shared, r.clock
	if r.stats != nil {
		var kept Kept
		kept.Memory, kept.Scratch = r.o.Shared.scratch.Used()
		rep.Statistics = &kept
	}
	rep.Trunk = TrunkReport{
		Nodes: len(res.Trunk.Common(r.p.Sources)), FLOPsShare: shares.FLOPs, ParamsShare: shares.Params,
		Exact: res.Trunk.Exact, Gathers: res.Merged.Gathers, Again: again,
	}
	for _, e := range res.Trunk.Ends {
		rep.Trunk.Ends = append(rep.Trunk.Ends, EndReport{e.Node, e.Why})
	}
	for _, h := range r.p.Heads() {
		file := r.p.Files[h.Source]
		hash, err := file.Hash()
		if err != nil {
			return err
		}
		rep.Heads = append(rep.Heads, HeadReport{h.Name, file.File, hash, r.p.MergedOutputs(h, res.Merged)})
	}
	if r.src != nil {
		rep.Samples = r.src.Samples()
	}
	rep.Mask, rep.Auto = r.o.Mask, r.auto
	r.reportSpaces(rep)
	rep.Narrowed = r.p.narrowed.report()
	if rep.Prefixes, err = r.p.PrefixReports(res.Model); err != nil {
		return err
	}
	rep.Operators = r.addedOperators(res.Model)
	return r.reportCost(rep, size)
}

func (r *run) reportSpaces(rep *Report) {
	for _, sp := range r.trunk.Analysis.Spaces {
		a := r.as[sp]
		s := SpaceReport{
			ID: sp.ID, Name: sp.Name, Dim: sp.Dim, Width: a.Width, Mode: sp.Label(), Why: sp.Reasons(),
			Identical: r.trunk.Identical[sp],
		}
		if !sp.Even() {
			s.Dims = sp.Dims
		}
		s.Features, s.Share = byModel(a, sp)
		if c, ok := r.auto.choice(sp); ok {
			s.Match, s.Residuals = c.match, c.residuals
		}
		if a.Mix != nil {
			s.combined(len(r.p.Sources.Models))
		} else {
			s.count(a, sp)
		}
		rep.Spaces = append(rep.Spaces, s)
	}
}

// count counts merged features by whose features they join.
func (s *SpaceReport) count(a merge.Assignment, sp *space.Space) {
	for _, members := range a.Members() {
		models := map[int]bool{}
		for _, k := range members {
			models[sp.Model(k)] = true
		}
		switch {
		case len(members) == 1:
			s.Alone++
		case len(models) > 1:
			s.Across++
		default:
			s.Within++
		}
	}
}

// combined counts combinations, each of which has something of all features.
func (s *SpaceReport) combined(models int) {
	s.Combined = true
	for i := range s.Features {
		s.Features[i] = s.Width
	}
	if models > 1 {
		s.Across = s.Width
	} else {
		s.Within = s.Width
	}
}

func (r *run) reportCost(rep *Report, size cost.Report) error {
	c := &rep.Cost
	c.Params, c.FLOPs = size.Params, size.FLOPs
	for _, m := range r.p.whole().Sources.Base().Models {
		s, err := cost.AtBatch(m.Model, 1)
		if err != nil {
			return err
		}
		c.EnsembleParams, c.EnsembleFLOPs = c.EnsembleParams+s.Params, c.EnsembleFLOPs+s.FLOPs
	}
	c.ParamsRatio, c.FLOPsRatio = ratio(c.Params, c.EnsembleParams), ratio(c.FLOPs, c.EnsembleFLOPs)
	return nil
}

// addedOperators lists operators of m that no source has.
func (r *run) addedOperators(m *onnx.Model) []string {
	known := map[string]bool{}
	for _, src := range r.p.Originals {
		for _, n := range src.Graph().GetNode() {
			known[n.GetDomain()+":"+n.GetOpType()] = true
		}
	}
	var out []string
	for _, n := range m.Graph().GetNode() {
		op := n.GetDomain() + ":" + n.GetOpType()
		if !known[op] {
			known[op] = true
			out = append(out, strings.TrimPrefix(op, ":"))
		}
	}
	return out
}

// describe writes where the merged file came from into its metadata.
func (p *Prepared) describe(m *onnx.Model, merged *merge.Merged, t *merge.Trunk, o Options) error {
	var heads []string
	for _, h := range p.Heads() {
		heads = append(heads, h.Name)
		if err := p.describeHead(m, merged, h); err != nil {
			return err
		}
		if err := p.describeNormalization(m, h); err != nil {
			return err
		}
	}
	if o.DataFree {
		m.SetMetadata("onnx_zip.data_free", "true")
	}
	m.SetMetadata(attach.HeadsKey, strings.Join(heads, ","))
	if err := p.describeTrunk(m, t); err != nil {
		return err
	}
	settings := fmt.Sprintf("method=%s match=%s represent=%s refit=%s alpha=%g beta=%g seed=%d until=%s",
		o.Method, o.Match, o.Represent, o.Settings.Refit, o.Alpha, o.Beta, o.Seed, o.Until)
	if o.Budget > 0 {
		settings += fmt.Sprintf(" budget=%gx narrow=%t", o.Budget, o.Narrow)
	}
	m.SetMetadata("onnx_zip.settings", settings)
	return nil
}

// describeTrunk notes where heads read the trunk, so that others can be attached there later.
func (p *Prepared) describeTrunk(m *onnx.Model, t *merge.Trunk) error {
	var values []string
	for _, c := range t.Crossings(p.Sources) {
		values = append(values, c.Value)
	}
	if values == nil {
		return nil
	}
	return attach.SetTrunk(m, values)
}

// byModel counts what becomes of each model's features.
func byModel(a merge.Assignment, sp *space.Space) (features []int, share []float64) {
	seen := map[[2]int]bool{}
	total := 0.0
	for k, m := range a.Of {
		i := sp.Model(k)
		if i == len(features) {
			features, share = append(features, 0), append(share, 0)
		}
		if !seen[[2]int{i, m}] {
			seen[[2]int{i, m}] = true
			features[i]++
		}
		share[i] += a.Coef[k]
		total += a.Coef[k]
	}
	for i := range share {
		share[i] /= max(total, 1e-300)
	}
	return features, share
}
