package space

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

var update = flag.Bool("update", false, "write what the rules say into testdata/rules.txt, to be checked by hand")

// presets are beginnings of graphs that make features: four of them on axis 1 of h, axis 1 of g, axis 2 of k.
var presets = map[string]string{
	"use image":  "input x f32[N,3,8,8]\nwx = init f32[4,3,1,1] random(1)\nh = Conv(x, wx)",
	"use vector": "input v f32[N,6]\nwv = init f32[4,6] random(1)\ng = Gemm(v, wv) {transB=1}",
	"use tokens": "input t f32[N,5,6]\nwt = init f32[6,4] random(1)\nk = MatMul(t, wt)",
}

// ruleCase is a section of testdata/rules.txt: operators (OP in the text stands for each of them) and a
// title, a graph in the notation of onnxtest with "use PRESET" lines, and the spaces that it has.
type ruleCase struct {
	ops   []string
	title string
	graph string
	want  string
}

// ruleCases reads the table. The spaces are listed in the graph's order, each with mode, number of features
// and members: VALUE.AXIS, behind it @OFFSET where the space is a segment of the axis, ×N where each feature
// has N positions, /heads and /inside on the two axes of a space with heads, /group on axis 1 of grouped filters,
// /repeated where heads have several copies, :out or :in for the role of a parameter's axis. Lines with < are the reasons.
func ruleCases(t testing.TB) (head string, cases []ruleCase) {
	data, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(data), "\n=== ")
	for _, s := range sections[1:] {
		header, body, _ := strings.Cut(s, "\n")
		ops, title, ok := strings.Cut(header, " | ")
		graph, want, ok2 := strings.Cut(body, "\n---\n")
		if !ok || !ok2 {
			t.Fatalf("a section without a title or spaces: %s", header)
		}
		cases = append(cases, ruleCase{strings.Split(ops, ", "), title, graph, strings.TrimSpace(want)})
	}
	return sections[0], cases
}

func TestRules(t *testing.T) {
	head, cases := ruleCases(t)
	for i, c := range cases {
		for _, op := range c.ops {
			t.Run(op+"/"+c.title, func(t *testing.T) {
				got := spacesOf(t, strings.ReplaceAll(c.graph, "OP", op))
				got = strings.ReplaceAll(got, "< "+op+" ", "< OP ")
				if *update {
					cases[i].want = got
				} else if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("spaces (-want +got):\n%s", d)
				}
			})
		}
	}
	if *update {
		writeCases(t, head, cases)
	}
}

func writeCases(t *testing.T, head string, cases []ruleCase) {
	b := strings.Builder{}
	b.WriteString(head)
	for _, c := range cases {
		fmt.Fprintf(&b, "\n=== %s | %s\n%s\n---\n%s\n", strings.Join(c.ops, ", "), c.title, c.graph, c.want)
	}
	if err := os.WriteFile("testdata/rules.txt", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRulesHaveCases fails for a row of the table without a case.
func TestRulesHaveCases(t *testing.T) {
	has := map[string]bool{}
	_, cases := ruleCases(t)
	for _, c := range cases {
		for _, op := range c.ops {
			has[op] = true
		}
	}
	ops := Operators()
	slices.Sort(ops)
	for _, op := range ops {
		if !has[op] {
			t.Errorf("operator %s has no case in testdata/rules.txt", op)
		}
	}
}

// spacesOf analyses a graph as a trunk, so that its outputs pin nothing, and lists its spaces.
func spacesOf(t testing.TB, text string) string {
	t.Helper()
	in := build(t, text)
	a := Analyze([]Input{in}, nil, Options{Keep: func(int, *onnx.Node) bool { return true }})
	return dump(a, in.Index)
}

// build parses a text with presets.
func build(t testing.TB, text string) Input {
	t.Helper()
	for key, preset := range presets {
		text = strings.Replace(text, key, preset, 1)
	}
	m := onnxtest.Build(t, text)
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Input{Index: ix, Shapes: shapes, Opset: m.Opset("")}
}

// dump lists the spaces of model 0.
func dump(a *Analysis, ix *onnx.Index) string {
	members := map[*Space][]string{}
	seen := map[string]bool{}
	for _, n := range ix.Order {
		for _, v := range append(onnx.Reads(n), n.GetOutput()...) {
			if !seen[v] {
				seen[v] = true
				addMembers(a, v, members)
			}
		}
	}
	var b strings.Builder
	for _, s := range a.Spaces {
		more := ""
		if s.Constant {
			more = " constant"
		}
		if s.Heads > 0 {
			more += fmt.Sprintf(" heads %d of group %d", s.Heads, s.Group)
		}
		if s.Apart != "" {
			more += " apart"
		}
		if s.Aligned {
			more += " aligned"
		}
		if s.InsideFixed {
			more += " in order"
		}
		if s.Fixed != "" {
			more += " of fixed width"
		}
		if s.HeadsFixed {
			more += " heads in place"
		}
		fmt.Fprintf(&b, "%s %d%s: %s\n", s.Mode, s.Dim, more, strings.Join(members[s], " "))
		for _, w := range s.Why {
			fmt.Fprintf(&b, "  < %s %s %s\n", w.Op, w.Node, w.Text)
		}
	}
	return strings.TrimSpace(b.String())
}

func addMembers(a *Analysis, v string, members map[*Space][]string) {
	for axis, l := range a.Layouts(0, v) {
		at := 0
		for _, seg := range l {
			if seg.Space != nil {
				m := fmt.Sprintf("%s.%d", v, axis)
				if len(l) > 1 {
					m += fmt.Sprintf("@%d", at)
				}
				m += [...]string{Whole: "", HeadPart: "/heads", InsidePart: "/inside", GroupPart: "/group", RepeatedPart: "/repeated"}[seg.Part]
				if seg.Inner > 1 {
					m += fmt.Sprintf("×%d", seg.Inner)
				}
				if roles := a.Roles(0, v); roles != nil {
					m += ":" + [...]string{"none", "out", "in"}[roles[axis]]
				}
				members[seg.Space] = append(members[seg.Space], m)
			}
			at += seg.Size
		}
	}
}
