package calibrate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(1, 100_000).Draw(t, "length")
		sizes, total := pieces(length), int64(0)
		for _, s := range sizes {
			if total += s; s > maxRows || s < sizes[0]-1 || s > sizes[0]+1 {
				t.Fatalf("pieces of %d: %v", length, sizes)
			}
		}
		if total != length || int64(len(sizes)) > length/maxRows+1 {
			t.Fatalf("%d pieces of %d sum up to %d", len(sizes), length, total)
		}
	})
}

func TestExtents(t *testing.T) {
	axes, err := extentsOf("v", []int64{1, 3, 7}, []int64{4, 3, 7}, 4)
	if err != nil {
		t.Fatal(err)
	}
	want := []extent{{1, true}, {size: 3}, {size: 7}}
	if diff := cmp.Diff(want, axes, cmp.AllowUnexported(extent{})); diff != "" {
		t.Error(diff)
	}
	for _, many := range [][]int64{{4, 3}, {4, 3, 9}, {5, 3, 7}} {
		if _, err := extentsOf("v", []int64{1, 3, 7}, many, 4); err == nil {
			t.Errorf("dims %v of 4 samples were accepted", many)
		}
	}
}

func TestViewOf(t *testing.T) {
	n := extent{1, true}
	fixed := func(s int64) extent { return extent{size: s} }
	image := []extent{n, fixed(6), fixed(5), fixed(4)}
	for _, c := range []struct {
		name      string
		part      Part
		axes      []extent
		shape     []int64
		positions int64 // of 10 samples
	}{
		{"channels", Part{Axis: 1, Len: 6}, image, []int64{-1, 6, 20}, 200},
		{"last axis", Part{Axis: -1, Len: 4}, image, []int64{-1, 4, 1}, 300},
		{"flattened", Part{Axis: 1, Len: 3, Inner: 9}, []extent{n, fixed(27)}, []int64{-1, 3, 9}, 90},
		{"channels first", Part{Axis: 0, Len: 6}, []extent{fixed(6), n, fixed(5)}, []int64{1, 6, -1}, 50},
		{"samples and tokens in one axis", Part{Axis: 1, Len: 8}, []extent{{7, true}, fixed(8)}, []int64{-1, 8, 1}, 70},
	} {
		v, err := viewOf(Tap{}, c.part, c.axes)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.shape, v.shape()); diff != "" || v.positions(10) != c.positions {
			t.Errorf("%s: shape %v, %d positions: want %v, %d", c.name, v.shape(), v.positions(10), c.shape, c.positions)
		}
	}
	for name, p := range map[string]Part{
		"no such axis":        {Axis: 4, Len: 1},
		"the axis of samples": {Axis: 0, Len: 1},
		"too many":            {Axis: 1, From: 5, Len: 2},
		"not divisible":       {Axis: 1, Len: 1, Inner: 4},
	} {
		if _, err := viewOf(Tap{}, p, image); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := viewOf(Tap{}, Part{Axis: 2, Len: 3}, []extent{n, n, fixed(3)}); err == nil {
		t.Error("a value of pairs of samples was accepted")
	}
}

// TestChooseLayout pins down which form serves which tap; a change here changes the bytes of results.
func TestChooseLayout(t *testing.T) {
	image := func(c, p int64) glimpse { // of one sample; alternating, so that no shift is needed
		x := make([]float32, c*p)
		for i := range x {
			x[i] = float32(i%2) - 0.5
		}
		return glimpse{[]extent{{1, true}, {size: c}, {size: p}}, 1, x}
	}
	flat := func(c int64) glimpse {
		return glimpse{[]extent{{1, true}, {size: c}}, 1, make([]float32, c)}
	}
	offset := image(4, 16)
	for i := range offset.values {
		offset.values[i] += 10
	}
	for _, c := range []struct {
		name     string
		value    glimpse
		axis     int
		diagonal bool
		memory   int64
		want     layout
	}{
		{"many positions", image(4, 64), 1, false, 1 << 20, planes},
		{"many features", image(64, 4), 1, false, 1 << 20, rows},
		{"too little memory", image(4, 64), 1, false, 8 * 4 * 4, rows},
		{"tokens", image(64, 4), 2, false, 1 << 20, rows},
		{"matrix", flat(5), 1, false, 1 << 20, rows},
		{"variances", image(4, 64), 1, true, 1 << 20, pooled},
		{"variances of tokens", image(64, 4), 2, true, 1 << 20, rows},
		{"variances of a matrix", flat(5), 1, true, 1 << 20, rows},
		{"variances with an offset", offset, 1, true, 1 << 20, planes},
	} {
		tap := Tap{Diagonal: c.diagonal, Parts: []Part{{Value: "v", Axis: c.axis, Len: int(c.value.axes[c.axis].size)}}}
		p, err := planTap(tap, map[string]glimpse{"v": c.value}, 8, CaptureOptions{MemoryBytes: c.memory})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p.layout != c.want {
			t.Errorf("%s: layout %d: want %d", c.name, p.layout, c.want)
		}
	}
}
