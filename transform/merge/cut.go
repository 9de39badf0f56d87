package merge

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Cut says where the trunk shall end. Its zero value shares all that can be shared.
type Cut struct {
	// Values are edges whose ancestors make the trunk, by the first model's names; "b:NAME" takes head
	// b's name. Empty: no limit.
	Values []string
	// None shares nothing: the ensemble.
	None bool
	// Distinct treats weights that are identical in all models like others: widths then may change.
	Distinct bool
	// NoRecurrence ends the trunk before recurrences whose features would stand side by side.
	NoRecurrence bool
}

// apply removes from t what the cut leaves to the heads.
func (c Cut) apply(s *Sources, t *Trunk) error {
	switch {
	case c.None:
		t.in, t.Groups = map[int]bool{}, nil
		t.Ends = []End{{Why: "nothing is to be shared"}}
		return nil
	case len(c.Values) == 0:
		return nil
	}
	keep := map[int]bool{}
	for _, name := range c.Values {
		k, err := c.group(s, t, name)
		if err != nil {
			return err
		}
		t.ancestors(s, k, keep)
	}
	t.absorb(s, keep)
	t.Groups = slices.DeleteFunc(t.Groups, func(k int) bool { return !keep[k] })
	t.in = keep
	t.Ends = []End{{Node: strings.Join(c.Values, ","), Why: "the cut was asked for there"}}
	return nil
}

// group finds the trunk group that makes a named value.
func (c Cut) group(s *Sources, t *Trunk, name string) (int, error) {
	model, value := 0, name
	if head, rest, ok := strings.Cut(name, ":"); ok {
		if i := slices.IndexFunc(s.Models, func(m *Source) bool { return m.Head == head }); i >= 0 {
			model, value = i, rest
		}
	}
	ix := s.Models[model].Index
	n := ix.Producer(value)
	if n != nil && ix.Aside(n) { // the output's name stands for what the model reads on
		n = ix.Producer(n.GetInput()[0])
	}
	if n == nil {
		return 0, fault.New(fault.Usage, "unknown_cut", "there is no such value to cut at").AtValue(name).
			InFile(s.Models[model].Model.File).WithHint("`onnx-zip inspect` lists the valid cuts")
	}
	k, ok := s.Pairing.Of(n)
	if !ok {
		return 0, fault.New(fault.Correspondence, "cut_not_common", "the models do not correspond up to this value").
			AtValue(name).WithHint("cut earlier; `onnx-zip inspect` lists the valid cuts")
	}
	if !t.in[k] {
		why := "it lies behind the end of what can be shared"
		if len(t.Ends) > 0 {
			why = t.Ends[0].Node + ": " + t.Ends[0].Why
		}
		return 0, fault.New(fault.Unsupported, "cut_not_shared", "the trunk cannot reach this value: %s", why).
			AtValue(name).WithHint("cut earlier; `onnx-zip inspect` lists the valid cuts")
	}
	return k, nil
}

// ancestors adds k and all groups that lead to it.
func (t *Trunk) ancestors(s *Sources, k int, keep map[int]bool) {
	stack := []int{k}
	for len(stack) > 0 {
		k := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if keep[k] {
			continue
		}
		keep[k] = true
		for _, v := range onnx.Reads(s.Pairing.Nodes[k][0]) {
			if p := s.Models[0].Index.Producer(v); p != nil {
				if g, ok := s.Pairing.Of(p); ok {
					stack = append(stack, g)
				}
			}
		}
	}
}

// absorb adds nodes without parameters that work on each feature by itself and read nothing but the
// trunk (an activation, a pool behind the cut): merging them is exact, and the heads need not repeat
// them.
func (t *Trunk) absorb(s *Sources, keep map[int]bool) {
	for _, k := range t.Groups {
		n := s.Pairing.Nodes[k][0]
		if keep[k] || !featurewise[n.GetOpType()] {
			continue
		}
		computed, inside := 0, true
		for _, v := range n.GetInput() {
			if v == "" || s.Models[0].Index.Initializer(v) != nil {
				continue
			}
			computed++
			p := s.Models[0].Index.Producer(v)
			g, ok := -1, false
			if p != nil {
				g, ok = s.Pairing.Of(p)
			}
			inside = inside && ok && keep[g]
		}
		if computed == 1 && inside {
			keep[k] = true
		}
	}
}

// featurewise are operators of one computed input that treat features alike and each by itself.
var featurewise = map[string]bool{
	"Relu": true, "LeakyRelu": true, "Elu": true, "Selu": true, "Sigmoid": true, "HardSigmoid": true,
	"HardSwish": true, "Mish": true, "Tanh": true, "Softplus": true, "Erf": true, "Gelu": true, "Clip": true,
	"MaxPool": true, "AveragePool": true, "GlobalAveragePool": true, "GlobalMaxPool": true, "Flatten": true,
}
