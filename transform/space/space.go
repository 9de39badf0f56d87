package space

import (
	"fmt"
	"slices"
	"strings"
)

// Mode says what a merge may do with a space. The order is from free to bound.
type Mode int

const (
	// Zip spaces may be averaged and duplicated: any assignment of features.
	Zip Mode = iota
	// Permute spaces may be reordered only: an operator sums or normalises over them.
	Permute
	// Pinned spaces may not be touched.
	Pinned
)

// String is the mode's name in reports and plans.
func (m Mode) String() string { return [...]string{"zip", "permute", "pinned"}[m] }

// MarshalText writes the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Reason says which operator bound a space, and why.
type Reason struct {
	Model int    `json:"model"` // 0 is the first model
	Node  string `json:"node"`
	Op    string `json:"op"`
	Text  string `json:"text"`
}

// String is "Softmax \"probs\" normalises over the features".
func (r Reason) String() string {
	if r.Node == "" {
		return r.Text
	}
	return fmt.Sprintf("%s %q %s", r.Op, r.Node, r.Text)
}

// Space is a set of axes that must be transformed together.
type Space struct {
	ID       int
	Name     string // the first value (in model 0's graph order) whose axis holds it
	Dim      int    // number of features in the first model that has it
	Dims     []int  // number of features by model, Dim in models without it; nil: Dim in each
	Mode     Mode
	Why      []Reason // what bound it to Mode; empty for zip
	Constant bool     // channels that an operator fills with a constant (a padded shortcut)
	Fixed    string   // why its width cannot change, "" where it can
	// Apart, of a zip space, says why a merge keeps the features of each model beside those of the others ("" where it need
	// not): a recurrence makes them.
	Apart string
	// Aligned, of a pinned space, says that its features are tied to positions that mean the same in every model
	// (the shared input's channels, tokens): they cannot move, but a merge may average them place by place.
	Aligned bool
	// Heads, where not 0, says that an attention divides the features into so many heads, or a grouped
	// convolution into so many groups, one after the other: only whole heads may be exchanged, and features
	// inside a head.
	Heads int
	// Group numbers the spaces whose heads can be exchanged together only (queries, keys and values; the two
	// sides of a grouped convolution).
	Group int
	// HeadsFixed says that the heads must keep their order: they are tied to some that are pinned.
	HeadsFixed bool
	// InsideFixed says that the features inside a head must keep their order (rotary embeddings).
	InsideFixed bool
	// AnyHeads says that a merge may keep any number of heads, the same in all spaces of the group: an attention divides them.
	AnyHeads bool
	// Linear says that nothing looks at the features one by one, so that a merge may keep any combinations of them; Centred that
	// a norm takes away their mean, which such combinations must not have.
	Linear, Centred bool
}

// In is the number of features in a model.
func (s *Space) In(model int) int {
	if s.Dims == nil {
		return s.Dim
	}
	return s.Dims[model]
}

// First numbers a model's first feature where the features of all models are stacked, model after model.
func (s *Space) First(model int) int {
	first := 0
	for i := range model {
		first += s.In(i)
	}
	return first
}

// Model is the model that a feature of the stack belongs to.
func (s *Space) Model(feature int) int {
	model := 0
	for feature >= s.In(model) {
		feature -= s.In(model)
		model++
	}
	return model
}

// Even reports whether all models have as many features there.
func (s *Space) Even() bool {
	return !slices.ContainsFunc(s.Dims, func(n int) bool { return n != s.Dim })
}

// Label is the mode's name in reports: "apart" for a zip space of which each model keeps its own features.
func (s *Space) Label() string {
	if s.Apart != "" {
		return "apart"
	}
	return s.Mode.String()
}

// Reasons is Why as one line, or Apart. What all models say is said once.
func (s *Space) Reasons() string {
	if s.Apart != "" {
		return s.Apart
	}
	var parts []string
	for _, r := range s.Why {
		if !slices.Contains(parts, r.String()) {
			parts = append(parts, r.String())
		}
	}
	return strings.Join(parts, "; ")
}

// Part says which axis of a space with heads a segment lies on.
type Part int

const (
	// Whole is an axis that counts all features: head·(features per head) + feature.
	Whole Part = iota
	// HeadPart is an axis that counts heads.
	HeadPart
	// InsidePart is an axis that counts the features inside a head, which differ from head to head.
	InsidePart
	// GroupPart is axis 1 of a grouped convolution's filters: it counts the features inside that group (head)
	// of the space which the position along axis 0 belongs to.
	GroupPart
	// RepeatedPart is an axis that counts all features, those of each head several times in a row (what an attention
	// makes whose query heads share values): position p is feature p % d of head p / (Inner·d), where d = Stretch.
	RepeatedPart
)

// Segment is a run of positions along an axis. Position p of it is feature p / Inner of Space (its head
// number p / Inner, where Part is HeadPart).
type Segment struct {
	Space *Space // nil: aligned positions, the same in every model
	Size  int    // number of positions; -1 where unknown (aligned or pinned axes only)
	Inner int    // positions per feature, 1 for aligned runs
	Part  Part
	// Stretch, of a RepeatedPart, is the number of features that are repeated as a whole.
	Stretch int
}

// Layout is what an axis holds, in order.
type Layout []Segment

// Aligned reports whether the axis holds no features.
func (l Layout) Aligned() bool {
	for _, s := range l {
		if s.Space != nil {
			return false
		}
	}
	return true
}

// Is reports whether the axis is the space: all of its features once, and nothing else.
func (l Layout) Is(s *Space) bool {
	return len(l) == 1 && l[0].Space == s && l[0].Part == Whole && l[0].Inner == 1
}

// Apart reports whether the axis holds features that a merge keeps beside those of the other models.
func (l Layout) Apart() bool {
	return slices.ContainsFunc(l, func(s Segment) bool { return s.Space != nil && s.Space.Apart != "" })
}

// Divided reports whether the axis is one of the two that a space with heads lies on: its features cannot be
// reordered by an index along this axis.
func (l Layout) Divided() bool {
	for _, s := range l {
		if s.Space != nil && (s.Part == HeadPart || s.Part == InsidePart) {
			return true
		}
	}
	return false
}

// Inside reports whether the axis counts features inside heads, or heads of an unknown number of samples: an index along it
// does not tell features apart. One that counts heads alone can be reordered.
func (l Layout) Inside() bool {
	return slices.ContainsFunc(l, func(s Segment) bool {
		return s.Space != nil && (s.Part == InsidePart || s.Part == HeadPart && s.Size < 0)
	})
}

// Pinned returns the first space of the axis that is pinned and not aligned, nil where there is none.
func (l Layout) Pinned() *Space {
	for _, s := range l {
		if s.Space != nil && s.Space.Mode == Pinned && !s.Space.Aligned {
			return s.Space
		}
	}
	return nil
}

// Role says how an axis of a parameter takes part in the operator that reads it.
type Role int

const (
	// None is an axis without features.
	None Role = iota
	// Out is an axis that makes features (a filter's outputs) or holds one value per feature (a bias).
	// A merge averages it: M.
	Out
	// In is an axis that an operator contracts with features (a filter's inputs). A merge adds over it: U.
	In
)

// Analysis is what Analyze finds.
type Analysis struct {
	Spaces []*Space

	layouts []map[string][]Layout
	roles   []map[string][]Role
	reads   []Read
}

// Layouts returns the layouts of the axes of a value (or parameter) of a model, nil where it was not
// part of the analysis.
func (a *Analysis) Layouts(model int, value string) []Layout { return a.layouts[model][value] }

// Roles returns the roles of a parameter's axes, nil where an operator takes it as it is (a shape, a
// scalar): such a constant must be equal in all models.
func (a *Analysis) Roles(model int, parameter string) []Role { return a.roles[model][parameter] }

// Reads lists where contractions read features, in graph order: the places to measure a space.
func (a *Analysis) Reads() []Read { return a.reads }

// Read is a value that a contraction reads features from: where a space is measured (its tap).
type Read struct {
	Model int
	Value string
	Axis  int
	Node  string
	// Fan is the number of weights that each feature meets there.
	Fan int
}
