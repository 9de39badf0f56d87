package transform

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Origin says whether models stem from one checkpoint.
type Origin struct {
	Verdict   string        `json:"verdict"`         // same_origin, independent
	Identical float64       `json:"identical_share"` // share of the common weights that are bit-identical in all models
	Cosine    float64       `json:"cosine"`          // of common weights, index by index: the mean over all, tensor by tensor
	Spaces    []SpaceCosine `json:"spaces"`
}

// SpaceCosine is the cosine between the models' weights that make a space's features.
type SpaceCosine struct {
	Space  string  `json:"space"`
	Cosine float64 `json:"cosine"`
}

// sameOrigin is the cosine from which models count as stemming from one checkpoint. Independent
// initialisations give 0 ± 1/√n; fine-tuning rarely goes below .7 (docs/common-origin.md).
const sameOrigin = 0.3

const sameOriginVerdict = "same_origin"

// Origin compares corresponding weights of the first model with each other's, index by index.
func (p *Prepared) Origin() (Origin, error) {
	var all, equal int
	var cosines, counted float64
	bySpace := map[*space.Space]*dot{}
	for _, nodes := range p.Sources.Pairing.Nodes {
		if p.Sources.OwnPrefix(nodes[0]) {
			continue
		}
		for slot, name := range nodes[0].GetInput() {
			t := p.Sources.Models[0].Index.Initializer(name)
			if t == nil || !onnx.DType(t.GetDataType()).IsFloat() || !p.ofSpace(name) {
				continue
			}
			d, same, n, err := p.compareWeights(name, slot == 1 && !isVector(t))
			if err != nil {
				return Origin{}, err
			}
			all += n
			if same {
				equal += n
			}
			if d != (dot{}) { // a few large numbers, the same in any network of a kind, must not outweigh all others
				cosines, counted = cosines+float64(n)*d.cosine(), counted+float64(n)
			}
			if sp := p.madeBy(name); sp != nil {
				if bySpace[sp] == nil {
					bySpace[sp] = &dot{}
				}
				bySpace[sp].add(d)
			}
		}
	}
	o := Origin{Verdict: "independent"}
	if counted > 0 {
		o.Cosine = cosines / counted
	}
	if all > 0 {
		o.Identical = float64(equal) / float64(all)
	}
	for _, sp := range p.Sources.Full.Spaces {
		if d := bySpace[sp]; d != nil {
			o.Spaces = append(o.Spaces, SpaceCosine{sp.Name, d.cosine()})
		}
	}
	if o.Cosine > sameOrigin || o.Identical > 0.5 {
		o.Verdict = sameOriginVerdict
	}
	return o, nil
}

// isVector tells biases, and the gains of norms, from weights that contract: at most one of their axes is longer than 1.
func isVector(t *onnx.TensorProto) bool {
	long := 0
	for _, d := range t.GetDims() {
		if d > 1 {
			long++
		}
	}
	return long < 2
}

// ofSpace reports whether a parameter makes or reads features. Tables that are the same in any network of a kind, such as the
// masks of shifted windows, do not.
func (p *Prepared) ofSpace(name string) bool {
	return slices.ContainsFunc(p.Sources.Full.Roles(0, name), func(r space.Role) bool { return r != space.None })
}

// madeBy is the space whose features a parameter makes.
func (p *Prepared) madeBy(name string) *space.Space {
	for axis, role := range p.Sources.Full.Roles(0, name) {
		if role != space.Out {
			continue
		}
		for _, seg := range p.Sources.Full.Layouts(0, name)[axis] {
			if seg.Space != nil {
				return seg.Space
			}
		}
	}
	return nil
}

// dot holds the sums behind a cosine.
type dot struct{ xy, xx, yy float64 }

func (d *dot) add(e dot) { d.xy, d.xx, d.yy = d.xy+e.xy, d.xx+e.xx, d.yy+e.yy }

func (d dot) cosine() float64 {
	if d.xx == 0 || d.yy == 0 {
		return 0
	}
	return d.xy / math.Sqrt(d.xx*d.yy)
}

// compareWeights compares a parameter of the first model with all others'. Only contracting weights count for
// the cosine: biases and scales are alike in any two networks.
func (p *Prepared) compareWeights(name string, counts bool) (d dot, same bool, n int, err error) {
	x, err := onnx.TensorOf(p.Sources.Weight(0, name))
	if err != nil {
		return d, false, 0, err
	}
	same = true
	for i := 1; i < len(p.Sources.Models); i++ {
		other, ok := p.Sources.Pairing.Value(0, i, name)
		if !ok {
			return d, false, x.Len(), nil
		}
		y, err := onnx.TensorOf(p.Sources.Weight(i, other))
		if err != nil {
			return d, false, 0, err
		}
		if x.Len() != y.Len() { // other widths: no index of one is one of the other
			same = false
			continue
		}
		equal, err := d.addTensors(x, y, counts)
		if err != nil {
			return d, false, 0, err
		}
		same = same && equal
	}
	return d, same, x.Len(), nil
}

// comparedAtOnce is how many elements of two tensors are compared at a time: whole ones in float64 may need more memory
// than the models.
const comparedAtOnce = 1 << 16

// addTensors adds two tensors of one length, where they count, and reports whether they are equal.
func (d *dot) addTensors(a, b *onnx.Tensor, counts bool) (equal bool, err error) {
	equal = true
	var x, y []float64
	for from := 0; from < a.Len(); from += comparedAtOnce {
		n := min(comparedAtOnce, a.Len()-from)
		if x, err = a.Part(from, n).AppendFloat64s(x[:0]); err != nil {
			return false, err
		}
		if y, err = b.Part(from, n).AppendFloat64s(y[:0]); err != nil {
			return false, err
		}
		for k := range x {
			equal = equal && x[k] == y[k]
			if counts {
				d.xy, d.xx, d.yy = d.xy+x[k]*y[k], d.xx+x[k]*x[k], d.yy+y[k]*y[k]
			}
		}
	}
	return equal, nil
}

// Suit is the default method's settings for these models: where they stem from one checkpoint, features at the same place
// mean the same, and most spaces are best averaged as they are, so match auto chooses. Other settings, and those of other
// models, stay as they are.
func (p *Prepared) Suit(s Settings) (Settings, error) {
	if s.Method != DefaultMethod || s.Match != presets[DefaultMethod].Match || s.DataFree || len(p.Sources.Models) < 2 {
		return s, nil
	}
	origin, err := p.Origin()
	if err == nil && origin.Verdict == sameOriginVerdict {
		s.Match = MatchAuto
	}
	return s, err
}
