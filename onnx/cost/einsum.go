package cost

import (
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// einsum visits each point of the full index space once: with n operands n-1 multiplications, and an addition
// where an index is summed over. Engines that contract pair by pair need less for three operands and more.
func einsum(c *call) int64 {
	left, right, explicit := strings.Cut(strings.ReplaceAll(onnx.AttrString(c.node, "equation", ""), " ", ""), "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.node.Input) {
		c.fail("the equation has %d terms for %d inputs", len(terms), len(c.node.Input))
		return 0
	}
	space := map[string]int64{} // the size of each index
	seen := map[string]int{}
	for i, term := range terms {
		dims := c.in(i, 0)
		labels := indices(term, len(dims))
		if len(labels) != len(dims) {
			c.fail("the term %q does not fit the rank %d", term, len(dims))
			return 0
		}
		for k, label := range labels {
			space[label] = max(space[label], dims[k])
			seen[label]++
		}
	}
	points := int64(1)
	summed := false
	for label, size := range space {
		points = times(points, size)
		kept := strings.Contains(right, label) || isEllipsis(label)
		summed = summed || explicit && !kept || !explicit && seen[label] > 1 && !isEllipsis(label)
	}
	perPoint := int64(len(terms) - 1)
	if summed {
		perPoint++
	}
	return times(points, perPoint)
}

const ellipsis = "..."

// indices lists the labels of a term for a tensor of that rank. The axes of an ellipsis are labelled from the
// right, since they are broadcast like that.
func indices(term string, rank int) []string {
	var labels []string
	for i := 0; i < len(term); i++ {
		if !strings.HasPrefix(term[i:], ellipsis) {
			labels = append(labels, term[i:i+1])
			continue
		}
		for k := rank - (len(term) - len(ellipsis)); k > 0; k-- {
			labels = append(labels, ellipsis+strconv.Itoa(k))
		}
		i += len(ellipsis) - 1
	}
	return labels
}

func isEllipsis(label string) bool { return strings.HasPrefix(label, ellipsis) }
