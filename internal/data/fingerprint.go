package data

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
)

// Hash stands for the content of a sample: types, shapes and bytes of all its inputs, in the order of
// their names. The names themselves do not count. Two of n samples collide with probability n²/2¹²⁹.
type Hash [16]byte

// Fingerprint returns the hash of each sample.
func Fingerprint(src calibrate.Source) ([]Hash, error) {
	hashes := make([]Hash, 0, src.Samples())
	for from := 0; from < src.Samples(); from += defaultBatch {
		to := min(from+defaultBatch, src.Samples())
		feeds, err := src.Batch(from, to)
		if err != nil {
			return nil, err
		}
		names := slices.Sorted(maps.Keys(feeds))
		for i := range to - from {
			h := sha256.New()
			for _, name := range names {
				t := feeds[name]
				size := len(t.Raw) / (to - from)
				fmt.Fprintf(h, "%v%v\n", t.DType, t.Dims[1:])
				h.Write(t.Raw[i*size : (i+1)*size])
			}
			hashes = append(hashes, Hash(h.Sum(nil)[:16]))
		}
	}
	return hashes, nil
}

// Overlap counts the samples of a that occur in b too, bit for bit.
func Overlap(a, b calibrate.Source) (count int, err error) {
	inB, err := Fingerprint(b)
	if err != nil {
		return 0, err
	}
	known := make(map[Hash]bool, len(inB))
	for _, h := range inB {
		known[h] = true
	}
	inA, err := Fingerprint(a)
	for _, h := range inA {
		if known[h] {
			count++
		}
	}
	return count, err
}
