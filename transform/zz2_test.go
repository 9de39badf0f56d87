package transform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

func TestSmoke2(t *testing.T) {
	e := orttest.Engine(t)
	pair := os.Getenv("PAIR")
	a, b := must(onnx.Load(dir+pair+"_a.onnx")), must(onnx.Load(dir+pair+"_b.onnx"))
	p := must(transform.Prepare([]*onnx.Model{a, b}, transform.PrepareOptions{}))
	fmt.Println(must(p.Origin()))
	for _, c := range must(p.Cuts()) {
		fmt.Printf("%+v\n", c)
	}
	cal := must(must(data.Open(dir+"fmnist_calib.npz", data.Options{})).Bind(must(data.Inputs(a))))
	res, err := p.Merge(context.Background(), e, cal, transform.Options{Settings: must(transform.Preset(os.Getenv("METHOD"))), Controls: true, Until: os.Getenv("UNTIL")})
	if err != nil {
		t.Fatal(err)
	}
	checks, err := p.Verify(context.Background(), e, res.Model, res, cal)
	fmt.Println(checks, err)
	res.Report.Refit.Repairs, res.Report.Refit.Fits = nil, nil
	j, _ := json.MarshalIndent(res.Report, "", " ")
	fmt.Println(string(j))
}
