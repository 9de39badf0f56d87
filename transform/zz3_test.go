package transform_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

func TestSmoke3(t *testing.T) {
	e := orttest.Engine(t)
	a, b := must(onnx.Load(os.Getenv("A"))), must(onnx.Load(os.Getenv("B")))
	p, err := transform.Prepare([]*onnx.Model{a, b}, transform.PrepareOptions{Heads: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("first", p.Sources.Pairing.First)
	tr := must(merge.FindTrunk(p.Sources, merge.Cut{}))
	fmt.Println(must(p.SharedLine(tr)))
	for _, s := range tr.Analysis.Spaces {
		fmt.Println(" ", s.ID, s.Name, s.Dim, s.Mode, s.Heads, s.Group, s.InsideFixed, s.Reasons())
	}
	for _, s := range p.Sources.Full.Spaces {
		if s.Mode == 2 {
			fmt.Println("  pinned", s.ID, s.Name, s.Dim, s.Reasons())
		}
	}
	cal := must(must(data.Open(dir+"fmnist_calib.npz", data.Options{})).Bind(must(data.Inputs(a))))
	res, err := p.Merge(context.Background(), e, cal, transform.Options{Settings: must(transform.Preset(os.Getenv("METHOD")))})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(res.Report.HeldOut)
	if r := res.Report.Refit; r != nil {
		fmt.Println(r.Errors)
	}
	checks, err := p.Verify(context.Background(), e, res.Model, res, cal)
	fmt.Println(len(checks), err)
}
