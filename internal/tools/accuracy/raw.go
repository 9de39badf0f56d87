package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// figures are one line of accuracy.json: accuracies in percent.
type figures struct {
	Pair          string    `json:"pair"`
	Row           string    `json:"row"`
	Split         string    `json:"split"`
	Args          []string  `json:"args,omitempty"`
	Error         string    `json:"error,omitempty"`
	Softmax       float64   `json:"joint_softmax,omitempty"`
	Standardised  float64   `json:"joint_standardised,omitempty"`
	Tasks         []float64 `json:"tasks,omitempty"`
	FLOPs         int64     `json:"flops,omitempty"`
	Params        int64     `json:"params,omitempty"`
	TrunkShare    float64   `json:"trunk_flops_share,omitempty"`
	Refit         string    `json:"refit_chosen,omitempty"`
	RelativeError float64   `json:"relative_error,omitempty"`
}

// raw writes accuracy.json: one line for each row, pair and split.
func (b *benchmark) raw(families []*family) error {
	var out bytes.Buffer
	separator := "[\n"
	for _, f := range families {
		for _, p := range f.pairs {
			for _, v := range append([]variant{named(rowEnsemble)}, variants()...) {
				for _, split := range []string{testFile, validFile} {
					r, err := readResult(b.resultPath(p, v, split))
					if err != nil || v.choice != (split == validFile) && v.name != rowEnsemble {
						continue
					}
					line, err := json.Marshal(figuresOf(p, v, split, r))
					if err != nil {
						return err
					}
					out.WriteString(separator)
					out.Write(line)
					separator = ",\n"
				}
			}
		}
	}
	if out.Len() > 0 {
		out.WriteString("\n]\n")
	}
	return os.WriteFile(filepath.Join(b.out, "accuracy.json"), out.Bytes(), 0o644)
}

func figuresOf(p pair, v variant, split string, r result) figures {
	f := figures{Pair: p.name(), Row: v.name, Split: strings.TrimSuffix(split, ".npz"), Args: r.Args, Error: r.Error}
	if r.Error != "" {
		return f
	}
	f.FLOPs, f.Params, f.Refit = r.FLOPs, r.Params, r.Refit
	f.TrunkShare, f.RelativeError = rounded(r.TrunkShare, 4), rounded(r.RelativeError, 5)
	f.Softmax, f.Standardised = rounded(softmax(r), 2), rounded(standardised(r), 2)
	for i := range r.Tasks {
		f.Tasks = append(f.Tasks, rounded(task(i)(r), 2))
	}
	return f
}

func rounded(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}
