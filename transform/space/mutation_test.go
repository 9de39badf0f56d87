package space

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// mutation makes a rule wrong in one way. It reports whether the node gave it anything to spoil.
type mutation struct {
	name  string
	apply func(c *call, r rule) (spoiled bool)
}

// mutations are the mistakes that a row of the table can hold.
var mutations = []mutation{
	{"output axes swapped", swapAxes},
	{"input 0 not tied", func(c *call, r rule) bool { return untie(c, r, 0) }},
	{"input 1 not tied", func(c *call, r rule) bool { return untie(c, r, 1) }},
	{"parameters forgotten", forgetParams},
	{"roles of parameters exchanged", exchangeRoles},
	{"restrictions forgotten", forgetRestrictions},
	{"output not followed", loseOutput},
	{"features of models mixed", forgetApart},
}

// swapAxes exchanges the first two axes of the first output that differ.
func swapAxes(c *call, r rule) bool {
	r(c)
	axes := slices.Clone(c.a.vals[c.model][c.n.GetOutput()[0]])
	for k := 1; k < len(axes); k++ {
		if !sameAxis(axes[0], axes[k]) {
			axes[0], axes[k] = axes[k], axes[0]
			c.setOut(0, axes)
			return true
		}
	}
	return false
}

func sameAxis(x, y axis) bool {
	if x.isAligned() && y.isAligned() {
		return true
	}
	return slices.EqualFunc(resolve(x), resolve(y), func(p, q run) bool { return p.b == q.b && p.inner == q.inner && p.part == q.part })
}

// untie lets the rule see features of its own at an input.
func untie(c *call, r rule, slot int) (spoiled bool) {
	name := c.input(slot)
	before, ok := c.a.vals[c.model][name]
	if !ok || c.param(slot) != nil {
		r(c)
		return false
	}
	axes := slices.Clone(before)
	for k, x := range axes {
		if x = slices.Clone(resolve(x)); !x.isAligned() {
			for i, one := range x {
				if one.b != nil && one.part == Whole {
					x[i].b = c.fresh(one.b.size)[0].b
					spoiled = true
				}
			}
		}
		axes[k] = x
	}
	c.a.vals[c.model][name] = axes
	r(c)
	c.a.vals[c.model][name] = before
	return spoiled
}

// forgetParams leaves parameters as they are, though features lie along their axes.
func forgetParams(c *call, r rule) (spoiled bool) {
	r(c)
	for slot, name := range c.n.GetInput() {
		if c.param(slot) != nil && c.a.roles[c.model][name] != nil {
			delete(c.a.vals[c.model], name)
			delete(c.a.roles[c.model], name)
			spoiled = true
		}
	}
	return spoiled
}

// exchangeRoles averages over what has to be added up, and the other way round.
func exchangeRoles(c *call, r rule) (spoiled bool) {
	r(c)
	for slot, name := range c.n.GetInput() {
		if c.param(slot) == nil {
			continue
		}
		for k, role := range c.a.roles[c.model][name] {
			if role != None {
				c.a.roles[c.model][name][k] = map[Role]Role{Out: In, In: Out}[role]
				spoiled = true
			}
		}
	}
	return spoiled
}

// forgetRestrictions takes back what the rule forbids to do with the features that it reads: R is treated as S.
func forgetRestrictions(c *call, r rule) (spoiled bool) {
	type state struct {
		mode Mode
		why  []Reason
	}
	before := map[*block]state{}
	for slot := range c.n.GetInput() {
		for _, x := range c.in(slot) {
			for _, one := range resolve(x) {
				if one.b != nil {
					before[one.b] = state{one.b.mode, slices.Clone(one.b.why)}
				}
			}
		}
	}
	r(c)
	after := map[*block]state{}
	for b, s := range before {
		root := b.find()
		after[root] = state{max(after[root].mode, s.mode), append(after[root].why, s.why...)}
	}
	for b, s := range after {
		if b.mode != s.mode {
			b.mode, b.why = s.mode, s.why
			spoiled = true
		}
	}
	return spoiled
}

// loseOutput gives the outputs new features, as if they had nothing to do with the inputs.
func loseOutput(c *call, r rule) (spoiled bool) {
	r(c)
	for k, out := range c.n.GetOutput() {
		axes := slices.Clone(c.a.vals[c.model][out])
		for i, x := range axes {
			if n := x.positions(); !x.isAligned() && n > 0 {
				axes[i] = c.fresh(n)
				spoiled = true
			}
		}
		c.setOut(k, axes)
	}
	return spoiled
}

// forgetApart lets a merge mix what the models have to keep beside each other.
func forgetApart(c *call, r rule) (spoiled bool) {
	r(c)
	for _, out := range c.n.GetOutput() {
		for _, x := range c.a.vals[c.model][out] {
			for _, one := range resolve(x) {
				if one.b != nil && one.b.apart != nil && onnx.NodeName(c.n) == one.b.apart.Node {
					one.b.apart, spoiled = nil, true
				}
			}
		}
	}
	return spoiled
}

// harmless are mistakes that change nothing, with the reason.
var harmless = map[string]string{
	"Shape, input 0 not tied": "ties nothing: what it makes depends on sizes alone",
	"Size, input 0 not tied":  "ties nothing: what it makes depends on sizes alone",
}

// TestWrongRulesFail makes every row of the table wrong in every way of the list: the cases of the row must notice.
// testdata/mutations.txt lists what was made wrong, and how many cases noticed of those that it spoils; -update writes it.
func TestWrongRulesFail(t *testing.T) {
	_, cases := ruleCases(t)
	byOp := map[string][]ruleCase{}
	for _, c := range cases {
		for _, op := range c.ops {
			byOp[op] = append(byOp[op], c)
		}
	}
	right := maps.Clone(rules)
	t.Cleanup(func() { rules = right })
	var lines []string
	for _, op := range slices.Sorted(maps.Keys(right)) {
		for _, m := range mutations {
			spoiled, noticed := 0, 0
			for _, c := range byOp[op] {
				hit := false
				rules = maps.Clone(right)
				rules[op] = func(call *call) { hit = m.apply(call, right[op]) || hit }
				got := mutated(t, strings.ReplaceAll(c.graph, "OP", op))
				if hit {
					spoiled++
				}
				if hit && strings.ReplaceAll(got, "< "+op+" ", "< OP ") != c.want {
					noticed++
				}
			}
			what := op + ", " + m.name
			if why, ok := harmless[what]; spoiled == 0 || ok && noticed == 0 {
				if ok {
					lines = append(lines, what+" | harmless: "+why)
				}
				continue
			}
			if noticed == 0 {
				t.Errorf("%s: none of %d cases notices", what, spoiled)
			}
			lines = append(lines, fmt.Sprintf("%s | %d of %d", what, noticed, spoiled))
		}
	}
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile("testdata/mutations.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/mutations.txt")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("testdata/mutations.txt (-want +got; `go test ./transform/space -run WrongRules -update` accepts it):\n%s", d)
	}
}

// mutated are the spaces by wrong rules; an analysis that gives up has noticed as well.
func mutated(t *testing.T, text string) (spaces string) {
	defer func() {
		if r := recover(); r != nil {
			spaces = fmt.Sprint("stopped: ", r)
		}
	}()
	return spacesOf(t, text)
}
