// Command zoo runs the analysis and its proofs over every network of a folder and prints a table.
//
//	go run ./internal/tools/zoo testdata/zoo
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: zoo FOLDER|FILE…")
		os.Exit(2)
	}
	var files []string
	for _, arg := range os.Args[1:] {
		found, _ := filepath.Glob(filepath.Join(arg, "*.onnx"))
		if found == nil {
			found = []string{arg}
		}
		files = append(files, found...)
	}
	sort.Strings(files)
	e, err := ort.Open(ort.Options{Device: "cpu"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("| network | nodes | spaces zip / permute / pinned | weights with a free axis | trunk, FLOPs | proofs |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, f := range files {
		fmt.Println(guarded(e, f))
	}
}

// row describes one network.
func row(e calibrate.Engine, file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".onnx")
	m, err := onnx.Load(file)
	if err != nil {
		return fmt.Sprintf("| %s | | | | | %s |", name, short(err))
	}
	p, err := transform.Prepare([]*onnx.Model{m}, transform.PrepareOptions{Heads: []string{"m"}})
	if err != nil {
		return fmt.Sprintf("| %s | %d | | | | %s |", name, len(m.Graph().GetNode()), short(err))
	}
	t, err := p.Widest()
	if err != nil {
		return fmt.Sprintf("| %s | %d | | | | %s |", name, len(m.Graph().GetNode()), short(err))
	}
	var modes [3]int
	for _, s := range append(t.PinnedOutside(p.Sources), t.Analysis.Spaces...) {
		mode := s.Mode
		if s.Apart != "" { // nothing is merged there
			mode = space.Pinned
		}
		modes[mode]++
	}
	shares, _ := p.Shares(t)
	return fmt.Sprintf("| %s | %d | %d / %d / %d | %.0f %% | %.0f %% | %s |", name, len(m.Graph().GetNode()),
		modes[space.Zip], modes[space.Permute], modes[space.Pinned], 100*freeShare(p, t), 100*shares.FLOPs, proofs(e, m))
}

// freeShare is the share of weights that have an axis in a space in which models are merged: the trunk's weights by
// the trunk's spaces, the heads' by those of the whole model.
func freeShare(p *transform.Prepared, trunk *merge.Trunk) float64 {
	free, all := 0, 0
	src := p.Sources.Models[0]
	for _, t := range src.Model.Graph().GetInitializer() {
		if len(t.GetDims()) < 2 || !onnx.DType(t.GetDataType()).IsFloat() {
			continue
		}
		n := 1
		for _, d := range t.GetDims() {
			n *= int(d)
		}
		all += n
		a := trunk.Analysis
		if a.Roles(0, t.GetName()) == nil {
			a = p.Sources.Full
		}
		for axis, role := range a.Roles(0, t.GetName()) {
			l := a.Layouts(0, t.GetName())[axis]
			if role != space.None && l.Pinned() == nil && !l.Aligned() && !l.Apart() {
				free += n
				break
			}
		}
	}
	return float64(free) / float64(max(all, 1))
}

func proofs(e calibrate.Engine, m *onnx.Model) string {
	ps, err := transform.Prove(context.Background(), e, m, nil, 1)
	var out []string
	passed := 0
	for _, p := range ps {
		if p.Passed {
			passed++
			continue
		}
		out = append(out, fmt.Sprintf("%s fails: %.1e %s %s", p.Name, p.Deviation, p.Output, p.Space))
	}
	if err != nil {
		out = append(out, short(err))
	}
	return strings.Join(append([]string{fmt.Sprintf("%d of %d", passed, len(ps))}, out...), "; ")
}

func short(err error) string {
	s := fault.As(err).Error()
	if len(s) > 160 {
		s = s[:160] + "…"
	}
	return strings.ReplaceAll(s, "|", "/")
}

// guarded is row with a panic as its outcome: one bad network must not hide the others.
func guarded(e calibrate.Engine, file string) (out string) {
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprintf("| %s | | | | | PANIC %v |", filepath.Base(file), r)
		}
	}()
	return row(e, file)
}
