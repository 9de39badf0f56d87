package refit

import (
	"bytes"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// TestStoreSpills keeps more than the budget and gets every tensor back, changed ones too.
func TestStoreSpills(t *testing.T) {
	dir := t.TempDir()
	s := newStore(100, dir)
	defer s.close()
	fill := func(b byte) *onnx.Tensor {
		v := onnx.NewTensor(onnx.Float, 10)
		copy(v.Raw, bytes.Repeat([]byte{b}, 40))
		return v
	}
	for batch := range 8 {
		if err := s.put(key{nil, "x", batch}, fill(byte(batch))); err != nil {
			t.Fatal(err)
		}
	}
	if s.held > 100 {
		t.Errorf("%d bytes held in memory, the budget is 100", s.held)
	}
	if err := s.put(key{nil, "x", 5}, fill(99)); err != nil {
		t.Fatal(err)
	}
	for batch := range 8 {
		want := byte(batch)
		if batch == 5 {
			want = 99
		}
		got, err := s.get(key{nil, "x", batch})
		if err != nil {
			t.Fatal(err)
		}
		if got.Raw[0] != want || got.Raw[39] != want || got.Len() != 10 {
			t.Errorf("batch %d: got %v, want all %d", batch, got.Raw[:2], want)
		}
	}
	end := s.end
	s.drop(key{nil, "x", 7})
	if err := s.put(key{nil, "y", 0}, fill(1)); err != nil {
		t.Fatal(err)
	}
	if s.end != end {
		t.Error("room of dropped tensors is not used again")
	}
	if _, err := s.get(key{nil, "x", 7}); err == nil {
		t.Error("a dropped tensor is still there")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the scratch file is visible: %v", left)
	}
}

// TestStoreWithoutRoom names the flags that help.
func TestStoreWithoutRoom(t *testing.T) {
	s := newStore(0, "/nonexistent-folder")
	err := s.put(key{nil, "x", 0}, onnx.NewTensor(onnx.Float, 4))
	if err == nil {
		t.Fatal("spilling into a missing folder succeeded")
	}
}
