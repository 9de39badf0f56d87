package adopt

import (
	"math/bits"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// set is a set of nodes, by their places in an index's order.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) add(k int) { s[k/64] |= 1 << (k % 64) }

func (s set) union(o set) {
	for i, w := range o {
		s[i] |= w
	}
}

// each calls f for every member, in order.
func (s set) each(f func(int)) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			f(64*i + bits.TrailingZeros64(w))
		}
	}
}

// ancestors gives each node the nodes that lead to it, itself included.
func ancestors(ix *onnx.Index) []set {
	all := make([]set, len(ix.Order))
	for i, n := range ix.Order {
		all[i] = newSet(len(ix.Order))
		all[i].add(i)
		for _, v := range onnx.Reads(n) {
			if p := ix.Producer(v); p != nil {
				all[i].union(all[ix.Position(p)])
			}
		}
	}
	return all
}
