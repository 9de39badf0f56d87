package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// write makes accuracy.md and accuracy.json of everything that was measured so far.
func (b *benchmark) write(families []*family) error {
	var text strings.Builder
	b.head(&text, families)
	b.goals(&text, families)
	for _, f := range families {
		if err := b.familyTables(&text, f); err != nil {
			return err
		}
	}
	b.choice(&text, families)
	if err := os.WriteFile(filepath.Join(b.out, "accuracy.md"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return b.raw(families)
}

func (b *benchmark) head(w io.Writer, families []*family) {
	fmt.Fprintf(w, `# How good merges are

Made by %[1]smake bench-accuracy%[1]s; [bench/README.md](../../bench/README.md) tells how to repeat it, [accuracy.json](accuracy.json) has every figure by seed.
What follows from it is in [refit.md](../refit.md).

Pairs of models with different initialisations, trained on different classes of Fashion-MNIST (0 3 4 7 8 and 1 2 5 6 9; plain cross-entropy) on the
first 50,000 training images; 640 of these, without labels, to merge by. Accuracies on all 10,000 test images, in percent, means over the seeds. *joint*: all
classes, the task unknown, softmax inside each head, the largest wins; *std*: the same with each head's logits standardised on the calibration
images ([joint.md](../joint.md)); tasks: each head among its own classes. *to the ensemble*: the difference of joint accuracy in points, paired by images, with a 95 %%
interval over images (how much trainings differ, *joint by seed* shows). *gap closed*: how much of the way from A's trunk with refitted heads to the
ensemble, by *joint* and by *std*; the softmax rule favours small logits ([joint.md](../joint.md)). *time*: relative to the ensemble's, batch 1 and 8, one thread; networks of the same size were timed once, on the first seed.

Machine: %[2]s, %[3]s, %[4]s; %[5]s.

| pairs | seeds measured | seeds missing | epochs |
|---|---|---|---|
`, "`", machine(), runtime.Version(), b.engine.Name(), "other programs were running, so times are ratios of interleaved runs")
	for _, f := range families {
		var have []string
		missing := slices.Clone(f.missing)
		epochs := "–"
		for _, p := range f.pairs {
			if b.rowOf(&family{pairs: []pair{p}}, named(rowDefault), testFile).measured() {
				have = append(have, fmt.Sprint(p.seed))
				epochs = fmt.Sprint(p.epochs)
			} else {
				missing = append(missing, p.seed)
			}
		}
		slices.Sort(missing)
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", f.Title, orDash(strings.Join(have, " ")), orDash(strings.Trim(fmt.Sprint(missing), "[]")), epochs)
	}
}

// named is the variant of that name.
func named(name string) variant {
	for _, v := range variants() {
		if v.name == name {
			return v
		}
	}
	return variant{name: name} // the ensemble
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// familyTables writes what was measured on one family's pairs.
func (b *benchmark) familyTables(w io.Writer, f *family) error {
	ensemble := b.rowOf(f, named(rowEnsemble), testFile)
	if !b.rowOf(f, named(rowDefault), testFile).measured() {
		return nil
	}
	t, err := b.readTimes(f)
	if err != nil {
		return err
	}
	table := familyTable{w, f, ensemble, b.rowOf(f, named(rowGraft), testFile), t}
	fmt.Fprintf(w, "\n## %s\n", f.Title)
	for _, group := range []string{groupMain, groupCuts, groupBudgets} {
		table.head(group)
		if group == groupMain {
			table.line(ensemble)
		}
		for _, v := range variants() {
			if v.group == group {
				table.line(b.rowOf(f, v, testFile))
			}
		}
	}
	return nil
}

// familyTable prints rows of one family.
type familyTable struct {
	w               io.Writer
	f               *family
	ensemble, graft row
	times           times
}

func (t familyTable) head(group string) {
	fmt.Fprintf(t.w, "\n| %s | MFLOPs | k params | joint | to the ensemble | gap closed | std | tasks | joint by seed | time |\n|---|---|---|---|---|---|---|---|---|---|\n", group)
}

func (t familyTable) line(r row) {
	if !r.measured() {
		if r.refused != "" {
			fmt.Fprintf(t.w, "| %s | refused: %s | | | | | | | | |\n", r.name, strings.ReplaceAll(r.refused, "|", "/"))
		}
		return
	}
	name := r.name
	if !slices.Equal(r.seeds, t.ensemble.seeds) {
		name += fmt.Sprintf(" (seeds %s only)", strings.Trim(fmt.Sprint(r.seeds), "[]"))
	}
	var each, seeds []string
	for i := range r.results[0].Tasks {
		each = append(each, fmt.Sprintf("%.1f", r.mean(task(i))))
	}
	for _, one := range r.results {
		seeds = append(seeds, fmt.Sprintf("%.1f", softmax(one)))
	}
	difference := ""
	if d, ok := r.against(t.ensemble, func(r result) bits { return r.Softmax }); ok && r.name != rowEnsemble {
		difference = d.String()
	}
	fmt.Fprintf(t.w, "| %s | %.2f | %.0f | %.1f | %s | %s | %.1f | %s | %s | %s |\n", name, r.mean(flops)/1e6, r.mean(params)/1e3,
		r.mean(softmax), difference, gaps(r, t.graft, t.ensemble), r.mean(standardised), strings.Join(each, " / "), strings.Join(seeds, " "), t.time(r))
}

func (t familyTable) time(r row) string {
	size := r.results[0].FLOPs
	one, ok := t.times.ratio(size, 1)
	eight, _ := t.times.ratio(size, 8)
	switch {
	case r.name == rowEnsemble && len(t.times.Names) > 0:
		return "1, 1"
	case !ok:
		return ""
	}
	return fmt.Sprintf("%.2f, %.2f", one.Value, eight.Value)
}

// machine names the processor.
func machine() string {
	name := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s/%s", runtime.NumCPU(), name, runtime.GOOS, runtime.GOARCH)
}
