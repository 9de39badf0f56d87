package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/transform"
)

func TestVerdict(t *testing.T) {
	cost := func(params, flops float64) *transform.Report {
		return &transform.Report{Cost: transform.CostReport{ParamsRatio: params, FLOPsRatio: flops}}
	}
	agrees := func(share float64) []agreementRow {
		r := eval.RateOf(int(1000*share), 1000)
		return []agreementRow{{eval.OutputAgreement{Top1: &r}}}
	}
	loses := func(points float64) *scores {
		return &scores{Tasks: []taskRow{{Head: "a", Difference: &eval.Diff{Points: -points}}}}
	}
	for _, c := range []struct {
		name string
		r    mergeResult
		want string
	}{
		{"nothing measured", mergeResult{Report: cost(.5, .5)}, "unknown"},
		{"exact", mergeResult{Report: cost(.5, .5), Exact: true}, "worth_it"},
		{"no saving", mergeResult{Report: cost(1, .95), Exact: true}, "not_worth_it"},
		{"saves parameters only", mergeResult{Report: cost(.5, 1), Exact: true}, "worth_it"},
		{"small loss", mergeResult{Report: cost(.5, .5), Scores: loses(9.9)}, "worth_it"},
		{"large loss", mergeResult{Report: cost(.5, .5), Scores: loses(10.1)}, "not_worth_it"},
		{"labels count more", mergeResult{Report: cost(.5, .5), Scores: loses(1), Agreement: agrees(.5)}, "worth_it"},
		{"agrees", mergeResult{Report: cost(.5, .5), Agreement: agrees(.95)}, "worth_it"},
		{"agrees half-heartedly", mergeResult{Report: cost(.5, .5), Agreement: agrees(.85)}, "unknown"},
		{"differs", mergeResult{Report: cost(.5, .5), Agreement: agrees(.75)}, "not_worth_it"},
	} {
		if got, why := verdict(&c.r); got != c.want || why == "" {
			t.Errorf("%s: %s because %q, want %s", c.name, got, why, c.want)
		}
	}
}

// TestControlsInVerdict: a control that does better makes the merge not worth it; one that does as well is named.
func TestControlsInVerdict(t *testing.T) {
	errs := func(a, b float64) transform.Judgement {
		return transform.Judgement{{Head: "a", RelativeError: a}, {Head: "b", RelativeError: b}}
	}
	control := func(name string, a, b float64) controlRow {
		return controlRow{Name: name, Heads: []controlled{{Head: "a", RelativeError: a}, {Head: "b", RelativeError: b}}}
	}
	scored := func(c controlRow, a, b eval.Diff) controlRow {
		c.Heads[0].Difference, c.Heads[1].Difference = &a, &b
		return c
	}
	diff := func(points, half float64) eval.Diff {
		return eval.Diff{Points: points, Low: points - half, High: points + half}
	}
	for _, c := range []struct {
		name           string
		control        controlRow
		standing, want string
		says           string
	}{
		{"worse at one head", control("graft", 0, .2), controlWorse, "worth_it", ""},
		{"within the margin", control("graft", .104, .103), controlAsGood, "worth_it", "--method graft would do as well"},
		{"better", control("halves", .1, .09), controlBetter, "not_worth_it", "--method halves does better"},
		{"labels count more", scored(control("graft", 0, .2), diff(-.5, 1), diff(.8, 1)), controlAsGood, "worth_it", "would do as well"},
		{"a head is surely worse", scored(control("graft", 0, 0), diff(-.5, .2), diff(1.2, 1)), controlWorse, "worth_it", ""},
		{"the mean is surely worse", scored(control("graft", 0, 0), diff(.9, 1), diff(.9, 1)), controlWorse, "worth_it", ""},
		{"a head is surely better", scored(control("graft", 1, 1), diff(-1.2, 1), diff(0, 1)), controlBetter, "not_worth_it", "does better"},
	} {
		merge := &transform.Report{Cost: transform.CostReport{ParamsRatio: .5, FLOPsRatio: .5}, HeldOut: errs(.1, .1)}
		c.control.Standing = c.control.standing(merge.HeldOut)
		top := eval.RateOf(99, 100)
		r := mergeResult{Report: merge, Controls: []controlRow{c.control}, Agreement: []agreementRow{{eval.OutputAgreement{Top1: &top}}}}
		got, why := verdict(&r)
		if c.control.Standing != c.standing || got != c.want || !strings.Contains(why, c.says) || c.says == "" && strings.Contains(why, "--method") {
			t.Errorf("%s: %s, %s because %q", c.name, c.control.Standing, got, why)
		}
	}
}

func TestWrap(t *testing.T) {
	got := wrap("one two  three four", 8)
	if !slices.Equal(got, []string{"one two", "three", "four"}) {
		t.Errorf("%q", got)
	}
	if got := wrap("averylongword x", 4); !slices.Equal(got, []string{"averylongword", "x"}) {
		t.Errorf("%q", got)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "512MiB": 512 << 20, "2GB": 2e9, "1.5k": 1536, "100": 100, "1 GiB": 1 << 30} {
		if got, err := parseSize("memory", text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "-1", "5 apples", "0", "1e99GB"} {
		if got, err := parseSize("memory", text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"data", "data", 0}, {"dat", "data", 1}, {"methd", "method", 1}, {"kitten", "sitting", 3}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: %d", c.a, c.b, got)
		}
	}
}

func TestOptionalHead(t *testing.T) {
	heads := []string{"a", "b"}
	for value, want := range map[string]headed{
		"x.npz": {"", "x.npz"}, "a=x.npz": {"a", "x.npz"}, "dir/k=v.npz": {"", "dir/k=v.npz"}, "b=k=v.npz": {"b", "k=v.npz"},
	} {
		if got, err := optionalHead("data", value, heads); err != nil || got != want {
			t.Errorf("%s: %v, %v", value, got, err)
		}
	}
	if _, err := optionalHead("data", "c=x.npz", heads); err == nil || !strings.Contains(err.Error(), `no head "c"`) {
		t.Errorf("c=x.npz: %v", err)
	}
}

func TestTable(t *testing.T) {
	tab := &table{left: map[int]bool{2: true}}
	tab.add("name", "n", "why")
	tab.add("é", "100", "because")
	if got, want := tab.String(), "name    n  why\né     100  because\n"; got != want {
		t.Errorf("%q", got)
	}
}
