package eval

import (
	"context"
	"fmt"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Deployment is a merged file and what it is to replace.
type Deployment struct {
	Merged *onnx.Model
	// Ensemble is all sources side by side in one file; nil where there is none.
	Ensemble *onnx.Model
	Heads    []DeployedHead
}

// DeployedHead is one head: its outputs in the merged file and the source that it came from.
type DeployedHead struct {
	Head    string
	Outputs []string
	Source  *onnx.Model
}

// The subjects of the latency report behind a DeploymentReport; with a head's name behind the last two.
const (
	SubjectMerged   = "merged"
	SubjectEnsemble = "ensemble"
	SubjectSeparate = "separate" // all sources one after the other, each in its own session
	subjectSource   = "source:"
	subjectHead     = "merged:" // the merged file cut down to one head
)

// DeploymentReport tells the two uses of a merged file apart, for each batch size.
type DeploymentReport struct {
	AllHeads []AllHeads    `json:"all_heads"`
	Routed   []Routed      `json:"routed"`
	Latency  LatencyReport `json:"latency"`
}

// AllHeads is the use with one input for all heads: every head's answer is wanted for every sample.
type AllHeads struct {
	Batch      int     `json:"batch"`
	MergedMS   float64 `json:"merged_latency_ms"`
	SeparateMS float64 `json:"separate_latency_ms"`
	// VersusSeparate is the merged file's time over that of all sources one after the other.
	VersusSeparate Ratio    `json:"merged_over_separate"`
	EnsembleMS     *float64 `json:"ensemble_latency_ms,omitempty"`
	VersusEnsemble *Ratio   `json:"merged_over_ensemble,omitempty"`
}

// Routed is the use with routed requests: a request wants one head only. The merged file computes the others as
// well; a server of the sources runs just one of them.
type Routed struct {
	Head     string  `json:"head"`
	Batch    int     `json:"batch"`
	MergedMS float64 `json:"merged_latency_ms"` // the full run that the request costs
	SourceMS float64 `json:"source_latency_ms"` // its own source alone
	// VersusSource is the merged file's time over that of its own source alone.
	VersusSource Ratio `json:"merged_over_source"`
	// HeadAloneMS is the merged file cut down to this head. OtherHeadsMS is what the other heads cost: the median
	// over rounds of the full time less that one, which noise can make negative.
	HeadAloneMS  float64 `json:"head_alone_latency_ms"`
	OtherHeadsMS float64 `json:"other_heads_latency_ms"`
}

// Deployments times the merged file in both uses. Options.Reference is ignored in favour of the ensemble, or of
// the separate sessions without one. Errors are those of Latency.
func Deployments(ctx context.Context, e calibrate.Engine, d Deployment, o LatencyOptions) (DeploymentReport, error) {
	subjects, err := d.subjects()
	if err != nil {
		return DeploymentReport{}, err
	}
	o.Reference = SubjectSeparate
	if d.Ensemble != nil {
		o.Reference = SubjectEnsemble
	}
	r := DeploymentReport{}
	if r.Latency, err = Latency(ctx, e, subjects, o); err != nil {
		return DeploymentReport{}, err
	}
	for _, b := range r.Latency.Subjects[0].Batches {
		r.AllHeads = append(r.AllHeads, allHeads(r.Latency, b.Batch))
		for _, h := range d.Heads {
			r.Routed = append(r.Routed, routed(r.Latency, h.Head, b.Batch))
		}
	}
	return r, nil
}

// subjects lists the merged file first.
func (d Deployment) subjects() ([]Subject, error) {
	if len(d.Heads) == 0 {
		return nil, fault.New(fault.Usage, "no_heads", "there is no head to time")
	}
	separate := Subject{Name: SubjectSeparate}
	var single []Subject
	for _, h := range d.Heads {
		cut, err := onlyOutputs(d.Merged, h.Outputs)
		if err != nil {
			return nil, fmt.Errorf("head %q: %w", h.Head, err)
		}
		separate.Models = append(separate.Models, h.Source)
		single = append(single,
			Subject{subjectSource + h.Head, []*onnx.Model{h.Source}},
			Subject{subjectHead + h.Head, []*onnx.Model{cut}})
	}
	subjects := []Subject{{SubjectMerged, []*onnx.Model{d.Merged}}, separate}
	if d.Ensemble != nil {
		subjects = append(subjects, Subject{SubjectEnsemble, []*onnx.Model{d.Ensemble}})
	}
	return append(subjects, single...), nil
}

func allHeads(r LatencyReport, batch int) AllHeads {
	merged, _ := r.Times(SubjectMerged, batch)
	separate, _ := r.Times(SubjectSeparate, batch)
	a := AllHeads{
		Batch: batch, MergedMS: merged.MedianMS, SeparateMS: separate.MedianMS,
		VersusSeparate: ratioOf(merged.RoundsMS, separate.RoundsMS),
	}
	if ensemble, ok := r.Times(SubjectEnsemble, batch); ok {
		a.EnsembleMS = &ensemble.MedianMS
		a.VersusEnsemble = &merged.Ratio
	}
	return a
}

func routed(r LatencyReport, head string, batch int) Routed {
	merged, _ := r.Times(SubjectMerged, batch)
	source, _ := r.Times(subjectSource+head, batch)
	alone, _ := r.Times(subjectHead+head, batch)
	return Routed{
		Head: head, Batch: batch, MergedMS: merged.MedianMS, SourceMS: source.MedianMS,
		VersusSource: ratioOf(merged.RoundsMS, source.RoundsMS),
		HeadAloneMS:  alone.MedianMS, OtherHeadsMS: medianDifference(merged.RoundsMS, alone.RoundsMS),
	}
}
