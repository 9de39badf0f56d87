package transform_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

const dir = "../testdata/models/"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var classes = [][]int{{0, 2, 3, 5, 8}, {1, 4, 6, 7, 9}}

func accuracy(e calibrate.Engine, m *merge.Merged, test data.Source) string {
	labels := must(test.Labels())
	right := make([]int, 2)
	n := make([]int, 2)
	err := calibrate.Forward(context.Background(), e, m.Model, test, calibrate.ForwardOptions{}, func(b calibrate.ForwardBatch) error {
		for h := range 2 {
			t := b.Outputs[m.Outputs[h][0]]
			v := must(t.Float32s())
			for s := b.From; s < b.To; s++ {
				row := v[(s-b.From)*5 : (s-b.From+1)*5]
				best := 0
				for k := range row {
					if row[k] > row[best] {
						best = k
					}
				}
				for k, c := range classes[h] {
					if int64(c) == labels[s] {
						n[h]++
						if k == best {
							right[h]++
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("A %.1f B %.1f", 100*float64(right[0])/float64(n[0]), 100*float64(right[1])/float64(n[1]))
}

func TestSmoke(t *testing.T) {
	pair := os.Getenv("PAIR")
	e := orttest.Engine(t)
	ctx := context.Background()
	a, b := must(onnx.Load(dir+pair+"_a.onnx")), must(onnx.Load(dir+pair+"_b.onnx"))
	p, err := transform.Prepare([]*onnx.Model{a, b}, transform.PrepareOptions{Heads: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("paired", len(p.Sources.Pairing.Nodes), "first", p.Sources.Pairing.First)
	tr, err := merge.FindTrunk(p.Sources, merge.Cut{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("trunk", len(tr.Groups), "of", len(p.Sources.Models[0].Index.Order), "exact", tr.Exact, "ends", tr.Ends)
	for _, s := range tr.Analysis.Spaces {
		fmt.Println(" ", s.ID, s.Name, s.Dim, s.Mode, s.Reasons(), tr.Identical[s])
	}
	inputs := must(data.Inputs(a))
	cal := must(must(data.Open(dir+"fmnist_calib.npz", data.Options{})).Bind(inputs))
	test := must(must(data.Open(dir+"fmnist_test.npz", data.Options{})).Bind(inputs))
	fit, held, err := data.Split(cal, 10)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	stats, err := p.Measure(ctx, e, tr, cal, true, calibrate.CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("measured", len(stats.Moments), time.Since(start))
	side := must(p.SideBySide(nil))
	fmt.Println("ensemble", accuracy(e, side, test))
	for _, method := range []string{"average", "permute", "zipit", "zip", "full"} {
		for _, rep := range []string{"mean", "select"} {
			s := transform.Settings{Match: "full", Refit: "none"}
			if method != "full" {
				s = must(transform.Preset(method))
			}
			s.Represent = rep
			as, err := p.Assign(tr, stats, s)
			if err != nil {
				t.Fatal(err)
			}
			m, err := merge.Build(p.Sources, tr, as, merge.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(method, rep, "plain", accuracy(e, m, test), "gathers", m.Gathers)
			if method == "full" {
				continue
			}
			m2 := must(merge.Build(p.Sources, tr, as, merge.Options{}))
			start = time.Now()
			fits, err := p.LeastSquares(ctx, e, tr, as, m2, fit, held, refit.Options{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(method, rep, "LS      ", accuracy(e, m2, test), len(fits), time.Since(start))
			if os.Getenv("V") != "" {
				for _, f := range fits {
					fmt.Printf("   %+v\n", f)
				}
			}
			start = time.Now()
			out, err := p.Repair(ctx, e, tr, as, stats, m, fit, heldOr(held), refit.Options{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			d := time.Since(start)
			applied := 0
			for _, o := range out {
				if o.Applied {
					applied++
				}
				if os.Getenv("V") != "" {
					fmt.Printf("   %+v\n", o)
				}
			}
			fmt.Println(method, rep, "repaired", accuracy(e, m, test), "applied", applied, "of", len(out), d)
		}
	}
}

func heldOr(h data.Source) calibrate.Source {
	if os.Getenv("NOGUARD") != "" {
		return nil
	}
	return h
}
