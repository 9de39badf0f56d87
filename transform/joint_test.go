package transform_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// brightSamples are random samples of two tasks: those of the second are brighter.
func brightSamples(n int) (samples, []int) {
	src := randomSamples(n, "input", 1, 28, 28)
	tasks := make([]int, n)
	for i := range tasks {
		tasks[i] = i * 7 % 5 % 2
	}
	return samples{n, func(from, to int) map[string]*onnx.Tensor {
		v, _ := src.batch(from, to)["input"].Float32s()
		for i := range v {
			v[i] += 0.3 * float32(tasks[from+i/784])
		}
		return map[string]*onnx.Tensor{"input": onnx.FromFloat32(v, int64(to-from), 1, 28, 28)}
	}}, tasks
}

// TestJointRules: the joint output is what its rule says, computed here from the heads' logits, in merged models and in
// the ensemble alike.
func TestJointRules(t *testing.T) {
	p, _ := pairOf(t, "mlp", "a", "b")
	src, tasks := brightSamples(200)
	for _, method := range []string{"zip", "ensemble"} {
		for _, rule := range transform.JointRules {
			s := preset(t, method)
			s.Refit = "none"
			res := mergeAll(t, p, src, transform.Options{Settings: s, Joint: rule, Tasks: tasks})
			rep := res.Report.Joint
			if rep == nil || rep.Rule != rule || len(rep.Classes) != 10 || rep.Classes[7] != "b:2" {
				t.Fatalf("%s: %+v", rule, rep)
			}
			if m := res.Model; m.Metadata("onnx_zip.joint.classes") != strings.Join(rep.Classes, ",") || m.Metadata("onnx_zip.joint.rule") != rule {
				t.Errorf("%s: the metadata does not say so", rule)
			}
			feeds, _ := src.Batch(0, 200)
			out := run(t, engine(t), res.Model, feeds)
			checkRule(t, rule, out, tasks)
			if rule == "task-id" && rep.Task.Accuracy < 0.9 {
				t.Errorf("%s: a task that is plain to see is told for %.2f of the samples", method, rep.Task.Accuracy)
			}
		}
	}
}

func checkRule(t *testing.T, rule string, out map[string][]float64, tasks []int) {
	t.Helper()
	joint := out["joint"]
	right := 0
	for i := range tasks {
		row := joint[i*10 : (i+1)*10]
		var sums [2]float64
		for h, name := range []string{"a_logits", "b_logits"} {
			logits := out[name][i*5 : (i+1)*5]
			part := row[h*5 : (h+1)*5]
			top := slices.Max(logits)
			total := 0.0
			for _, x := range logits {
				total += math.Exp(x - top)
			}
			for k, x := range logits {
				switch rule {
				case "standardised": // order and distances inside a head stay
					if d := (part[k] - part[0]) * (logits[1] - logits[0]); math.Abs(d-(x-logits[0])*(part[1]-part[0])) > 1e-3 {
						t.Fatalf("sample %d: %v is not %v standardised", i, part, logits)
					}
				case "softmax":
					if math.Abs(part[k]-math.Exp(x-top)/total) > 1e-5 {
						t.Fatalf("sample %d: %v are not the probabilities of %v", i, part, logits)
					}
				}
				sums[h] += part[k]
			}
		}
		if rule == "task-id" && math.Abs(sums[0]+sums[1]-1) > 1e-4 {
			t.Fatalf("sample %d: probabilities sum up to %g", i, sums[0]+sums[1])
		}
		if (sums[1] > sums[0]) == (tasks[i] == 1) {
			right++
		}
	}
	if rule == "task-id" && right < 180 {
		t.Errorf("the prior tells the task of %d of 200 samples", right)
	}
}

// TestTaskIDNeedsTasks: without knowing whose samples are whose there is no prior.
func TestTaskIDNeedsTasks(t *testing.T) {
	p, _ := pairOf(t, "mlp", "a", "b")
	src, tasks := brightSamples(60)
	for i := range tasks[5:] {
		tasks[i+5] = 0
	}
	for _, c := range []struct {
		tasks []int
		code  string
	}{{nil, "no_tasks"}, {tasks, "few_samples"}} {
		_, err := p.Merge(context.Background(), engine(t), src, transform.Options{Settings: preset(t, "ensemble"), Joint: "task-id", Tasks: c.tasks})
		if e := fault.As(err); e == nil || e.Code != c.code {
			t.Errorf("%v, want %s", err, c.code)
		}
	}
}
