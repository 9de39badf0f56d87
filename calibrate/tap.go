package calibrate

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Part is one slice of a value's axis: the features [From, From+Len) of axis Axis of Value. All other
// axes (batch, pixels, tokens) are positions, counted row-major.
type Part struct {
	Value string
	// Axis is the axis of the features; a negative one counts from the end.
	Axis int
	// From and Len are in features.
	From, Len int
	// Inner is the number of positions that the axis holds for each feature, as after a Flatten of
	// C·H·W: feature = index / Inner. 0 and 1 mean none.
	Inner int
}

// Tap asks for the moments of the stacked features of its parts. The parts must have the same positions
// in the same order: the same number for each sample, and samples in the same place of the order.
type Tap struct {
	Name  string
	Parts []Part
	// Diagonal asks for the variances only.
	Diagonal bool
}

// features is O, the number of stacked features.
func (t Tap) features() int {
	n := 0
	for _, p := range t.Parts {
		n += p.Len
	}
	return n
}

// widestPart is the number of features from which a part is divided: a part's product with itself is symmetric, and of products of
// smaller parts only those on and above the diagonal are computed.
const widestPart = 512

// divided is the tap with wide parts in pieces of about equal size.
func (t Tap) divided() Tap {
	if t.Diagonal {
		return t
	}
	var parts []Part
	for _, p := range t.Parts {
		n := (p.Len + widestPart - 1) / widestPart
		for k := range n {
			piece := p
			piece.From, piece.Len = p.From+k*p.Len/n, (k+1)*p.Len/n-k*p.Len/n
			parts = append(parts, piece)
		}
	}
	t.Parts = parts
	return t
}

// valueOf names the value in which the stacked feature k lies.
func (t Tap) valueOf(k int) string {
	for _, p := range t.Parts {
		if k < p.Len {
			return p.Value
		}
		k -= p.Len
	}
	return ""
}

// inner is Inner with its default.
func (p Part) inner() int64 { return int64(max(1, p.Inner)) }

// badTap is a mistake of the caller, not of the user.
func badTap(t Tap, format string, args ...any) *fault.Error {
	return fault.New(fault.Internal, "bad_tap", "tap %q: %s", t.Name, fmt.Sprintf(format, args...))
}

// checkTaps refuses taps that cannot be measured in any model with these values.
func checkTaps(taps []Tap, ix *onnx.Index) error {
	seen := map[string]bool{}
	for _, t := range taps {
		if seen[t.Name] {
			return badTap(t, "two of one name")
		}
		seen[t.Name] = true
		if len(t.Parts) == 0 {
			return badTap(t, "no parts")
		}
		for _, p := range t.Parts {
			if !ix.Has(p.Value) {
				return badTap(t, "the model has no such value").AtValue(p.Value)
			}
			if p.From < 0 || p.Len <= 0 {
				return badTap(t, "features [%d, %d+%d)", p.From, p.From, p.Len).AtValue(p.Value)
			}
		}
	}
	return nil
}

// tappedValues lists the values of all taps, each once, in order.
func tappedValues(taps []Tap) []string {
	var values []string
	seen := map[string]bool{}
	for _, t := range taps {
		for _, p := range t.Parts {
			if !seen[p.Value] {
				seen[p.Value] = true
				values = append(values, p.Value)
			}
		}
	}
	return values
}
