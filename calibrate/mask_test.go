package calibrate

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

func TestMaskPositions(t *testing.T) {
	m, err := NewMask(onnx.FromInt64([]int64{1, 1, 0, 1, 0, 0}, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	y, n := true, false
	for _, c := range []struct {
		name string
		dims []int64
		axis int
		want []bool
	}{
		{"tokens behind samples", []int64{2, 3, 5}, 2, []bool{y, y, n, y, n, n}},
		{"features before tokens", []int64{2, 5, 3}, 1, []bool{y, y, n, y, n, n}},
		{"heads between", []int64{2, 2, 3, 5}, 3, []bool{y, y, n, y, y, n, y, n, n, y, n, n}},
		{"both in one axis", []int64{6, 5}, 1, []bool{y, y, n, y, n, n}},
		{"no tokens", []int64{2, 5}, 1, nil},
		{"tokens are the features", []int64{2, 3}, 1, nil},
		{"scores", []int64{2, 5, 3, 3}, 1, []bool{y, y, n, y, y, n, n, n, n, y, n, n, n, n, n, n, n, n}},
		{"another batch", []int64{4, 3, 5}, 2, nil},
	} {
		if got := m.Positions(c.dims, c.axis); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	var none *Mask
	if none.Positions([]int64{2, 3, 5}, 2) != nil {
		t.Error("no mask leaves positions out")
	}
	if _, err := NewMask(onnx.FromInt64([]int64{1, 1}, 2)); err == nil || fault.As(err).Code != "mask_shape" {
		t.Errorf("a mask of one axis: %v", err)
	}
}
