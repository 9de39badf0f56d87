package refit_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// TestMeasure prints the tables of docs/refit.md. It takes minutes:
//
//	ONNX_ZIP_MEASURE=methods,samples,ridges go test ./transform/refit -run TestMeasure -v -timeout 1h
func TestMeasure(t *testing.T) {
	what := os.Getenv("ONNX_ZIP_MEASURE")
	if what == "" {
		t.Skip("set ONNX_ZIP_MEASURE to methods, matches, auto, repair, samples or ridges")
	}
	switch what {
	case "methods":
		for _, pair := range []string{"fmnist_mlp", "fmnist_vgg", "fmnist_resnet20", "fmnist_tuned"} {
			measureMethods(t, pair)
		}
	case "samples":
		for _, pair := range []string{"fmnist_vgg", "fmnist_resnet20"} {
			for _, n := range []int{4, 8, 12, 24} {
				undo := refit.SetSamples(n, 8000)
				measureLS(t, pair, fmt.Sprint(n, "·d"))
				undo()
			}
			undo := refit.SetSamples(8, 2000)
			measureLS(t, pair, "8·d, at least 2000")
			undo()
		}
	case "matches":
		for _, pair := range []string{"fmnist_mlp", "fmnist_vgg", "fmnist_resnet20"} {
			measureMatches(t, pair)
		}
	case "auto":
		for _, pair := range []string{"fmnist_mlp", "fmnist_vgg", "fmnist_resnet20", "fmnist_tuned"} {
			measureAuto(t, pair)
		}
	case "repair":
		for _, pair := range []string{"fmnist_mlp", "fmnist_vgg", "fmnist_resnet20"} {
			measureRepair(t, pair)
		}
	case "ridges":
		for _, pair := range []string{"fmnist_vgg", "fmnist_resnet20"} {
			for _, grid := range [][]float64{{1e-4}, {1e-3}, {1e-2}, {3e-2}, {1e-1}, {1}, {1e-2, 1e-1}, {1e-3, 1e-2, 1e-1}, {1e-3, 1e-2, 3e-2, 1e-1, 1}} {
				undo := refit.SetRidges(grid...)
				measureLS(t, pair, fmt.Sprint(grid))
				undo()
			}
		}
	}
}

// way is a refit of a fresh merge.
type way struct {
	name string
	do   func(*merge.Merged) error
}

func measureMethods(t *testing.T, pair string) {
	f := load(t, pair, 640)
	fit, held, err := data.Split(f.src, 10)
	check(t, err)
	side, err := f.prepared.SideBySide(nil)
	check(t, err)
	fmt.Printf("| %s | sources | | %s |\n", pair, f.accuracy(t, side))
	ctx, o := context.Background(), refit.Options{Workers: 2}
	ways := []way{
		{"plain", func(*merge.Merged) error { return nil }},
		{"guarded", func(m *merge.Merged) error {
			_, err := f.prepared.Repair(ctx, f.engine, f.trunk, f.as, f.stats, m, fit, held, o)
			return err
		}},
		{"unguarded", func(m *merge.Merged) error {
			_, err := f.prepared.Repair(ctx, f.engine, f.trunk, f.as, f.stats, m, fit, nil, o)
			return err
		}},
		{"ls", func(m *merge.Merged) error {
			_, err := f.prepared.LeastSquares(ctx, f.engine, f.trunk, f.as, m, fit, held, o)
			return err
		}},
	}
	for _, method := range []string{"zip", "zipit", "permute", "average"} {
		for _, represent := range []string{"mean", "select"} {
			s, err := transform.Preset(method)
			check(t, err)
			s.Represent = represent
			f.as, err = f.prepared.Assign(f.trunk, f.stats, s)
			check(t, err)
			fmt.Printf("| %s | %s | %s ", pair, method, represent)
			for _, w := range ways {
				m := f.build(t)
				check(t, w.do(m))
				fmt.Printf("| %s ", f.accuracy(t, m))
			}
			fmt.Println("|")
		}
	}
}

// measureMatches compares ways to match at several budgets, all with least squares.
func measureMatches(t *testing.T, pair string) {
	f := load(t, pair, 640)
	for _, budget := range []float64{0.25, 0.5, 1, 1.5} {
		for _, way := range [][2]string{{"zip", "mean"}, {"zip", "select"}, {"subset", "mean"}} {
			s, err := transform.Preset("best")
			check(t, err)
			s.Match, s.Represent, s.Budget = way[0], way[1], budget
			res, err := f.prepared.Merge(context.Background(), f.engine, f.src, transform.Options{Settings: s})
			check(t, err)
			fmt.Printf("| %s | %gx | %s, %s | %.3f | %s |\n", pair, budget, way[0], way[1], res.Report.HeldOut.RelativeError(), f.accuracy(t, res.Merged))
		}
	}
}

// measureAuto measures the matchings that auto chooses from, and auto, with each refit: the relative error of the outputs on
// held-out and on test images.
func measureAuto(t *testing.T, pair string) {
	f := load(t, pair, 640)
	side, err := f.prepared.SideBySide(nil)
	check(t, err)
	want := f.logits(t, side)
	for _, r := range transform.Refits {
		for _, way := range []string{"identity", "permute", "zip", "subset", transform.MatchAuto} {
			s, err := transform.Preset("best")
			check(t, err)
			s.Match, s.Refit = way, r
			res, err := f.prepared.Merge(context.Background(), f.engine, f.src, transform.Options{Settings: s, Judge: true})
			check(t, err)
			got, off := f.logits(t, res.Merged), 0.0
			for head := range want {
				diff, norm := 0.0, 0.0
				for k, y := range want[head] {
					diff += math.Pow(got[head][k]-y, 2)
					norm += y * y
				}
				off += math.Sqrt(diff/norm) / float64(len(want))
			}
			fmt.Printf("| %s | %s | %s | %.4f | %.4f | %s |", pair, r, way, res.Report.HeldOut.RelativeError(), off, f.accuracy(t, res.Merged))
			if a := res.Report.Auto; a != nil {
				fmt.Printf(" %v, %s kept, %.4v |", a.Taken, a.Merge, a.Errors)
			}
			fmt.Println()
		}
	}
}

// logits are the heads' outputs on the test images.
func (f *fixture) logits(t *testing.T, m *merge.Merged) [][]float64 {
	t.Helper()
	inputs, err := data.Inputs(f.prepared.Originals[0])
	check(t, err)
	file, err := data.Open(models+"fmnist_test.npz", data.Options{})
	check(t, err)
	test, err := file.Bind(inputs)
	check(t, err)
	out := make([][]float64, len(m.Outputs))
	check(t, calibrate.Forward(context.Background(), f.engine, m.Model, test, calibrate.ForwardOptions{}, func(b calibrate.ForwardBatch) error {
		for head, names := range m.Outputs {
			v, err := b.Outputs[names[0]].Float64s()
			check(t, err)
			out[head] = append(out[head], v...)
		}
		return nil
	}))
	return out
}

// measureRepair measures the repaired network on fewer samples than the targets.
func measureRepair(t *testing.T, pair string) {
	f := load(t, pair, 640)
	fit, _, err := data.Split(f.src, 10)
	check(t, err)
	for _, method := range []string{"zip", "zipit", "permute"} {
		s, err := transform.Preset(method)
		check(t, err)
		f.as, err = f.prepared.Assign(f.trunk, f.stats, s)
		check(t, err)
		fmt.Printf("| %s | %s ", pair, method)
		for _, n := range []int{64, 128, 256, 384, 448, 512, 576} {
			undo := refit.SetRepairSamples(n)
			m := f.build(t)
			_, err = f.prepared.Repair(context.Background(), f.engine, f.trunk, f.as, f.stats, m, fit, nil, refit.Options{Workers: 2})
			undo()
			check(t, err)
			fmt.Printf("| %s ", f.accuracy(t, m))
		}
		fmt.Println("|")
	}
}

func measureLS(t *testing.T, pair, what string) {
	f := load(t, pair, 640)
	m, fits := f.fitted(t, refit.Options{Workers: 2})
	after, chosen := 0.0, map[float64]int{}
	for _, fit := range fits {
		after += fit.After / float64(len(fits))
		chosen[fit.Lambda]++
	}
	fmt.Printf("| %s | %s | %s | %.5f | %v |\n", pair, what, f.accuracy(t, m), after, chosen)
}

// accuracy is that of each task on the 2,000 test images, in percent.
func (f *fixture) accuracy(t *testing.T, m *merge.Merged) string {
	t.Helper()
	inputs, err := data.Inputs(f.prepared.Originals[0])
	check(t, err)
	file, err := data.Open(models+"fmnist_test.npz", data.Options{})
	check(t, err)
	test, err := file.Bind(inputs)
	check(t, err)
	labels, err := test.Labels()
	check(t, err)
	classes := [][]int64{{0, 2, 3, 5, 8}, {1, 4, 6, 7, 9}}
	right, all := make([]float64, 2), make([]float64, 2)
	err = calibrate.Forward(context.Background(), f.engine, m.Model, test, calibrate.ForwardOptions{}, func(b calibrate.ForwardBatch) error {
		for head := range classes {
			v, err := b.Outputs[m.Outputs[head][0]].Float32s()
			check(t, err)
			for s := b.From; s < b.To; s++ {
				scores := v[(s-b.From)*5:][:5]
				best := 0
				for k := range scores {
					if scores[k] > scores[best] {
						best = k
					}
				}
				for k, class := range classes[head] {
					if labels[s] == class {
						all[head]++
						if k == best {
							right[head]++
						}
					}
				}
			}
		}
		return nil
	})
	check(t, err)
	return fmt.Sprintf("%.1f / %.1f", 100*right[0]/all[0], 100*right[1]/all[1])
}
