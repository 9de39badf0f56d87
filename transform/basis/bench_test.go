package basis

import (
	"fmt"
	"testing"
)

// BenchmarkLeading finds combinations of two streams, without an engine.
func BenchmarkLeading(b *testing.B) {
	for _, n := range []int{96, 384, 768} {
		s := drawn(1, n, 2*n, 1)
		b.Run(fmt.Sprintf("features=%d/width=%d", 2*n, n), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Leading(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
