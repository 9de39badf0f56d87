package main

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/eval"
)

// answers is a result over 4 images, of two tasks, with the given ones right.
func answers(right ...int) result {
	p := eval.Predictions{Samples: []int{0, 1, 2, 3}, Labels: []int64{0, 0, 0, 0}, Classes: []int64{1, 1, 1, 1}}
	for _, i := range right {
		p.Classes[i] = 0
	}
	return result{Softmax: newBits(p, 4), TaskN: []int{2, 2}}
}

func TestBits(t *testing.T) {
	b := answers(1, 3).Softmax
	if b.count() != 2 || b.at(0) || !b.at(1) || b.at(2) || !b.at(3) {
		t.Errorf("images 1 and 3 are kept as %08b", b)
	}
}

// TestAgainst: the differences are of the seeds that both rows have, the interval is over images.
func TestAgainst(t *testing.T) {
	joint := func(r result) bits { return r.Softmax }
	a := row{seeds: []int{0, 2, 5}, results: []result{answers(0, 1), answers(0, 1, 2), answers(0, 1, 2, 3)}}
	b := row{seeds: []int{0, 2}, results: []result{answers(0), answers(0)}}
	d, ok := a.against(b, joint)
	// Image 0: 0, image 1: 1, image 2: 1/2, image 3: 0; mean 3/8, deviation √(11/64).
	half := 196 * math.Sqrt(11.0/64) / 2
	if want := (difference{37.5, 37.5 - half, 37.5 + half, 2}); !ok || d.seeds != want.seeds || math.Abs(d.points-want.points)+math.Abs(d.low-want.low)+math.Abs(d.high-want.high) > 1e-9 {
		t.Errorf("got %v, want %v", d, want)
	}
	if _, ok := a.against(row{seeds: []int{1}, results: []result{answers()}}, joint); ok {
		t.Error("rows without a common seed were compared")
	}
}

// TestVariants: rows that come to the same settings share a result, others do not.
func TestVariants(t *testing.T) {
	if !slices.ContainsFunc(candidates(), func(v variant) bool { return v.key() == named(rowDefault).key() }) {
		t.Error("the default is not among the candidates that it is chosen from")
	}
	if got, want := named("zip, α = 0.0001, select, 0.5x").args(), []string{"--method", "zip", "--represent", "select", "--refit", "ls", "--alpha", "0.0001", "--budget", "0.5x"}; !slices.Equal(got, want) {
		t.Errorf("got the arguments %q, want %q", got, want)
	}
	names := map[string]bool{}
	for _, v := range variants() {
		if names[v.name] {
			t.Errorf("two rows are called %q", v.name)
		}
		names[v.name] = true
	}
}
