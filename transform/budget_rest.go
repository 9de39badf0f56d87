package transform

import (
	"math"

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
func (w *planner) spendRest(widths map[*space.Space]int) error {
	room := map[*space.Space]int{} // the widest that each may become
	for _, sp := range w.spaces {
		n := restFactor * float64(widths[sp])
		unit := float64(w.unitOf(sp, n))
		room[sp] = min(int(math.Ceil(n/unit)*unit), w.of[sp].most)
	}
	for {
		sp := w.narrowest(widths, room)
		if sp == nil {
			return nil
		}
		before := widths[sp]
		unit := w.unitOf(sp, float64(before))
		w.set(widths, sp, min(before+max(w.of[sp].dim/restSteps/unit, 1)*unit, room[sp]))
		ok, err := w.fits(widths)
		if err != nil {
			return err
		}
		if !ok {
			room[sp] = before
			w.set(widths, sp, before)
		}
	}
}

// narrowest is the space with room that has the smallest share of its own width; nil where none has room.
func (w *planner) narrowest(widths, room map[*space.Space]int) *space.Space {
	var best *space.Space
	for _, sp := range w.spaces {
		if widths[sp] >= room[sp] {
			continue // 0 where it may not change
		}
		if best == nil || float64(widths[sp])*w.of[best].own < float64(widths[best])*w.of[sp].own {
			best = sp
		}
	}
	return best
}
