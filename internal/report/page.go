package report

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/transform"
)

// Page is what one merge came to. What is empty is left out of the page.
type Page struct {
	Output   string // the merged file, as asked for
	Written  bool   // whether it was written: not where a gate refused it
	Rejected string // where a refused model was saved
	Verdict  string // worth_it, not_worth_it, unknown
	Reason   string
	Shared   string // how much is shared, and why no more
	Exact    bool   // equal to every source by construction

	Heads        []Head
	Joint        *Score // over all tasks, against the ensemble
	JointSkipped string // why there is no joint accuracy
	JointRules   []JointRule
	JudgedOn     string // the data of Head.Agreement
	// Controls are the accuracies of Merge.Controls, by control and head; none without test data.
	Controls map[string]map[string]*eval.Rate

	Sizes    []Size // each source, the ensemble, the merged model
	Networks []Network
	Merge    *transform.Report // nil where a gate refused the merge before it was made
	Checks   []transform.Check
	Gates    []Gate
	Warnings []Warning

	Command  []string // as it was typed, the program's name first
	Settings []Pair
	Files    []File
	Versions []Pair
	Seconds  []Stage
}

// Head is how one task is done.
type Head struct {
	Name      string
	File      string // of its source
	Accuracy  *Score
	Agreement *eval.Rate // samples with the source's top-1
	Deviation *float64   // relative error of its outputs on the data of Agreement
}

// Score is an accuracy, that of what it came from and their difference on the same samples.
type Score struct {
	Merged     eval.Rate
	Source     *eval.Rate
	Difference *eval.Diff
}

// JointRule is the joint accuracy by another rule, or that of the file's own joint output.
type JointRule struct {
	Rule string
	Score
}

// Size is what a model costs. FLOPs are for one sample.
type Size struct {
	Name          string
	Params, FLOPs int64
	Kind          string // source, ensemble, merged: its colour
}

// Network is one source's nodes, in topological order.
type Network struct {
	Head  string
	Cells []Cell
}

// Cell is one node.
type Cell struct {
	Name, Op      string
	FLOPs, Params int64
	Shared        bool // in the trunk
	End           int  // 1, 2, …: the trunk's end of that number is here; 0: none
}

// Gate is a limit that was asked for.
type Gate struct {
	Name, Detail string
	Passed       bool
}

// Warning is one that the command line shows, too.
type Warning struct{ Code, Where, Message string }

// Pair is a name and a value in words.
type Pair struct{ Name, Value string }

// File is a file that was read or written.
type File struct{ What, Path, SHA256 string }

// Stage is how long a stage took.
type Stage struct {
	Name    string
	Seconds float64
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string

	pageTemplate = template.Must(template.New("page").Funcs(functions).Parse(pageHTML))
)

// HTML is the page, one file that needs no other.
func (p *Page) HTML() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, struct {
		*Page
		CSS template.CSS
	}{p, template.CSS(pageCSS)}); err != nil {
		return nil, err
	}
	return []byte(clean(b.String())), nil
}
