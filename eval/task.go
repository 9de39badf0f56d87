package eval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Task is what one head is for.
type Task struct {
	Head string `json:"head"`
	// Classes maps the head's outputs to global classes: output j is class Classes[j]. nil means that they are
	// the same: output j is class j.
	Classes []int `json:"classes,omitempty"`
	// Output is the name of the logits; "" stands for the model's only output.
	Output string `json:"output"`
}

// class is the global class of output j, NoClass for -1.
func (t Task) class(j int) int64 {
	switch {
	case j < 0:
		return NoClass
	case t.Classes == nil:
		return int64(j)
	}
	return int64(t.Classes[j])
}

// resolve fills in the names of outputs and checks the tasks against the model.
func resolve(m *onnx.Model, tasks []Task) ([]Task, error) {
	if len(tasks) == 0 {
		return nil, fault.New(fault.Usage, "no_tasks", "there is no head to judge").InFile(m.File)
	}
	var outputs []string
	for _, v := range m.Graph().GetOutput() {
		outputs = append(outputs, v.GetName())
	}
	out := slices.Clone(tasks)
	heads := map[string]bool{}
	for i := range out {
		t := &out[i]
		if t.Output == "" && len(outputs) == 1 {
			t.Output = outputs[0]
		}
		if !slices.Contains(outputs, t.Output) {
			return nil, fault.New(fault.Usage, "no_output", "head %q: the model has no output %q; it has %s",
				t.Head, t.Output, strings.Join(outputs, ", ")).InFile(m.File)
		}
		if heads[t.Head] {
			return nil, fault.New(fault.Usage, "same_head", "two heads of the name %q", t.Head)
		}
		heads[t.Head] = true
		if c, twice := repeated(t.Classes); twice {
			return nil, fault.New(fault.Usage, "same_class", "head %q: class %d is named twice", t.Head, c)
		}
	}
	return out, nil
}

func repeated(classes []int) (class int, twice bool) {
	seen := map[int]bool{}
	for _, c := range classes {
		if seen[c] {
			return c, true
		}
		seen[c] = true
	}
	return 0, false
}

// owners maps each global class to the tasks that have it, by their numbers.
func owners(heads []Head) map[int64][]int {
	out := map[int64][]int{}
	for i, h := range heads {
		for j := range h.Width {
			c := h.Task.class(j)
			out[c] = append(out[c], i)
		}
	}
	return out
}

// notJoint says why the heads have no joint accuracy; "" where they have one.
func notJoint(heads []Head) string {
	if len(heads) < 2 {
		return "there is one head only"
	}
	seen := map[int64]int{}
	for i, h := range heads {
		for j := range h.Width {
			c := h.Task.class(j)
			if k, twice := seen[c]; twice {
				return fmt.Sprintf("class %d belongs to %q and to %q: the label spaces are not disjoint", c, heads[k].Task.Head, h.Task.Head)
			}
			seen[c] = i
		}
	}
	return ""
}
