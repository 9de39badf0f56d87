package rewrite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Log says what the passes did, in the order of the table, passes that did nothing included.
type Log []Record

// Record is what one pass did, over all rounds.
type Record struct {
	Pass    string         `json:"pass"`
	Changes int            `json:"changes"`
	Kinds   map[string]int `json:"kinds,omitempty"` // the changes by what was done; they sum up to Changes
	Notes   []string       `json:"notes,omitempty"` // what was left as it is on purpose
}

// did counts a change under what was done.
func (r *Record) did(kind string) {
	if r.Kinds == nil {
		r.Kinds = map[string]int{}
	}
	r.Changes++
	r.Kinds[kind]++
}

// note remembers a decision to leave something, once.
func (r *Record) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !slices.Contains(r.Notes, s) {
		r.Notes = append(r.Notes, s)
	}
}

func (r *Record) add(more Record) {
	for kind, n := range more.Kinds {
		for range n {
			r.did(kind)
		}
	}
	for _, s := range more.Notes {
		r.note("%s", s)
	}
}

// Add counts what a second rewriting of the same model did.
func (l Log) Add(more Log) {
	for i := range l {
		l[i].add(more[i])
	}
}

func newLog() Log {
	log := make(Log, len(Passes))
	for i, p := range Passes {
		log[i].Pass = p.Name
	}
	return log
}

// Changes is the number of changes of a pass.
func (l Log) Changes(pass string) int {
	for _, r := range l {
		if r.Pass == pass {
			return r.Changes
		}
	}
	return 0
}

// Total is the number of changes of all passes.
func (l Log) Total() int {
	n := 0
	for _, r := range l {
		n += r.Changes
	}
	return n
}

// String is a line for each pass that did or noted something.
func (l Log) String() string {
	var b strings.Builder
	for _, r := range l {
		if r.Changes == 0 && len(r.Notes) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s: %d", r.Pass, r.Changes)
		var parts []string
		for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
			parts = append(parts, fmt.Sprintf("%d %s", r.Kinds[kind], kind))
		}
		if len(parts) > 0 {
			b.WriteString(" (" + strings.Join(parts, ", ") + ")")
		}
		for _, s := range r.Notes {
			b.WriteString("; " + s)
		}
		b.WriteString("\n")
	}
	return b.String()
}
