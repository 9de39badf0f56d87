package transform

import (
	"math"

	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// restFactor bounds how much wider than by the common factor a space becomes: where only a cheap space still fits,
// it does not take all that is left.
const restFactor = 1.25

// restSteps is the share of its own width by which a space is widened at a time: each step costs a count of FLOPs.
const restSteps = 32

// spendRest widens single spaces as long as the model fits: a common factor rounds the widths of spaces that are
// multiples of each other alike, so that in a narrow network it can leave a tenth of the budget. The next is always
// the space that is the narrowest for its own width, so that all stay as near to one factor as integers allow. No space
// gets narrower.
func (p *Prepared) spendRest(t *merge.Trunk, widths map[*space.Space]int, fits func(map[*space.Space]int) (bool, error)) error {
	room := map[*space.Space]int{} // the widest that each may become
	for _, sp := range t.Analysis.Spaces {
		if anyWidth(sp) {
			room[sp] = min(int(math.Ceil(restFactor*float64(widths[sp]))), sp.First(len(p.Sources.Models)))
		}
	}
	for {
		sp := narrowest(t, widths, room)
		if sp == nil {
			return nil
		}
		before := widths[sp]
		widths[sp] = min(before+max(meanWidth(sp)/restSteps, 1), room[sp])
		ok, err := fits(widths)
		if err != nil {
			return err
		}
		if !ok {
			room[sp], widths[sp] = before, before
		}
	}
}

// narrowest is the space with room that has the smallest share of its own width; nil where none has room.
func narrowest(t *merge.Trunk, widths, room map[*space.Space]int) *space.Space {
	var best *space.Space
	for _, sp := range t.Analysis.Spaces {
		if widths[sp] >= room[sp] {
			continue // 0 where it may not change
		}
		if best == nil || widths[sp]*meanWidth(best) < widths[best]*meanWidth(sp) {
			best = sp
		}
	}
	return best
}
