package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onnx-zip/onnx-zip/eval"
)

// result is one row of one pair on one split.
type result struct {
	Args    []string `json:"args,omitempty"`
	Version string   `json:"version,omitempty"` // of the program that merged
	Error   string   `json:"error,omitempty"`   // why it refused; then nothing else is there

	FLOPs      int64   `json:"flops"`
	Params     int64   `json:"params"`
	TrunkShare float64 `json:"trunk_flops_share,omitempty"`
	Seconds    float64 `json:"refit_seconds,omitempty"`
	Refit      string  `json:"refit_chosen,omitempty"`
	// RelativeError is that of the heads' outputs on held-out calibration samples.
	RelativeError float64 `json:"relative_error,omitempty"`

	// The images that were got right: of all classes with the task unknown, by two rules; and of its own task, by each
	// head. All number the images of the split, also where an image is not the task's.
	Softmax      bits   `json:"softmax"`
	Standardised bits   `json:"standardised"`
	Tasks        []bits `json:"tasks"`
	TaskN        []int  `json:"task_n"`
}

// bits say for each image whether it was got right. Its JSON is base64.
type bits []byte

func newBits(p eval.Predictions, n int) bits {
	b := make(bits, (n+7)/8)
	for i, ok := range p.Correct() {
		if at := p.Samples[i]; ok {
			b[at/8] |= 1 << (at % 8)
		}
	}
	return b
}

func (b bits) at(i int) bool { return b[i/8]>>(i%8)&1 == 1 }

func (b bits) count() int {
	n := 0
	for i := range 8 * len(b) {
		if b.at(i) {
			n++
		}
	}
	return n
}

// keep takes over what was got right of n images.
func (r *result) keep(s eval.Result, n int) {
	r.Softmax = newBits(s.Joint.Softmax.Predictions, n)
	if st := s.Joint.Standardised; st != nil {
		r.Standardised = newBits(st.Predictions, n)
	}
	for _, t := range s.Tasks {
		r.Tasks = append(r.Tasks, newBits(t.Predictions, n))
		r.TaskN = append(r.TaskN, t.Accuracy.N)
	}
}

// images is the number of images of the split.
func (r result) images() int {
	n := 0
	for _, t := range r.TaskN {
		n += t // the tasks share out all classes
	}
	return n
}

func (r result) summary() string {
	if r.Error != "" {
		return "refused: " + r.Error
	}
	s := fmt.Sprintf("joint %.1f, tasks", 100*float64(r.Softmax.count())/float64(r.images()))
	for i, t := range r.Tasks {
		s += fmt.Sprintf(" %.1f", 100*float64(t.count())/float64(r.TaskN[i]))
	}
	return s
}

func hash(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16] }

// resultPath is where a row's result is kept.
func (b *benchmark) resultPath(p pair, v variant, split string) string {
	key := v.key()
	if v.name == rowEnsemble {
		key = rowEnsemble
	}
	return filepath.Join(b.cache, "results", p.name(), hash(p.models+key+split)+".json")
}

// mergedPath is where a row's merged model is kept, for timing.
func (b *benchmark) mergedPath(p pair, v variant) string {
	return filepath.Join(b.cache, "merged", p.name()+"-"+hash(p.models+v.key())+".onnx")
}

func readResult(path string) (result, error) {
	var r result
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// write keeps a result, whole or not at all.
func (r result) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
