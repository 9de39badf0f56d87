package refit

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// step is one piece of a walk: the nodes that lead from the frontier to the values wanted.
type step struct {
	want  []string     // values to stop at
	nodes []*onnx.Node // in topological order
	reads []string     // frontier values and graph inputs that they read
	keep  []string     // values to be handed out: wanted ones, and those that later steps read
	drop  []string     // frontier values that nobody needs after this step
}

// plan divides the ancestors of all wanted values into steps. Each node is in one step at most: values
// wanted early are computed early, and never again.
func plan(ix *onnx.Index, wants [][]string) []step {
	steps := make([]step, len(wants))
	stepOf := map[*onnx.Node]int{}
	for k, want := range wants {
		steps[k].want = want
		for _, v := range want {
			claim(ix, v, k, stepOf)
		}
	}
	for _, n := range ix.Order {
		if k, ok := stepOf[n]; ok {
			steps[k].nodes = append(steps[k].nodes, n)
		}
	}
	lastRead := needs(ix, steps)
	for k := range steps {
		steps[k].link(ix, k, lastRead)
	}
	return steps
}

// claim gives step k the ancestors of a value that no earlier step has.
func claim(ix *onnx.Index, value string, k int, stepOf map[*onnx.Node]int) {
	stack := []string{value}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := ix.Producer(v)
		if n == nil {
			continue
		}
		if _, done := stepOf[n]; done {
			continue
		}
		stepOf[n] = k
		stack = append(stack, onnx.Reads(n)...)
	}
}

// needs returns, for each computed value, the last step that reads or wants it.
func needs(ix *onnx.Index, steps []step) map[string]int {
	last := map[string]int{}
	for k, s := range steps {
		for _, n := range s.nodes {
			for _, v := range onnx.Reads(n) {
				last[v] = k
			}
		}
		for _, v := range s.want {
			last[v] = k
		}
	}
	return last
}

// link finds what the step reads, hands out and makes superfluous.
func (s *step) link(ix *onnx.Index, k int, lastRead map[string]int) {
	made, seen := map[string]bool{}, map[string]bool{}
	wanted := map[string]bool{}
	for _, v := range s.want {
		wanted[v] = true
	}
	last := func(v string) {
		if ix.Input(v) == nil && lastRead[v] == k && !slices.Contains(s.drop, v) {
			s.drop = append(s.drop, v)
		}
	}
	for _, n := range s.nodes {
		for _, v := range onnx.Reads(n) {
			if !made[v] && !seen[v] && ix.Initializer(v) == nil {
				seen[v] = true
				s.reads = append(s.reads, v)
				last(v)
			}
		}
		for _, out := range n.GetOutput() {
			made[out] = true
			if out != "" && (lastRead[out] > k || wanted[out]) {
				s.keep = append(s.keep, out)
			}
		}
	}
	for _, v := range s.want {
		last(v)
	}
}
