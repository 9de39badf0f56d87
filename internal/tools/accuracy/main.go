// Command accuracy merges the trained pairs of the accuracy benchmark in every way with the built command line, judges what
// comes out, and writes docs/bench/accuracy.md. bench/README.md tells how the pairs are made.
//
//	make bench-accuracy
//
// What is measured is kept beside the pairs, under a hash of the models, the data and the settings: an interrupted run goes on
// where it stopped, and a new pair costs only its own merges.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
)

// options are the flags.
type options struct {
	program, cache, out string
	pairs, rows         *regexp.Regexp
	again, tables, time bool
}

func main() {
	o := options{}
	flag.StringVar(&o.program, "program", "bin/onnx-zip", "the built command line")
	flag.StringVar(&o.cache, "cache", "", "the folder of pairs, data and results (default: the user's cache, onnx-zip/bench)")
	flag.StringVar(&o.out, "out", "docs/bench", "where accuracy.md and accuracy.json go")
	pairs := flag.String("pairs", ".", "measure the pairs whose names match, like '^vgg-0$'")
	rows := flag.String("rows", ".", "measure the rows whose names match")
	flag.BoolVar(&o.again, "again", false, "measure those pairs and rows again")
	flag.BoolVar(&o.tables, "tables", false, "measure nothing, write the tables")
	flag.BoolVar(&o.time, "time", false, "time the networks, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.complete(*pairs, *rows); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

// complete checks the flags and fills in what was not given.
func (o *options) complete(pairs, rows string) error {
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		o.cache = filepath.Join(dir, "onnx-zip", "bench")
	}
	var errs [2]error
	o.pairs, errs[0] = regexp.Compile(pairs)
	o.rows, errs[1] = regexp.Compile(rows)
	return errors.Join(errs[:]...)
}

// benchmark is what all its parts use.
type benchmark struct {
	options
	engine calibrate.Engine
	start  time.Time
}

// step says what takes time, on stderr.
func (b *benchmark) step(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.0f s  %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

func run(ctx context.Context, o options) error {
	engine, err := ort.Open(ort.Options{Device: "cpu"})
	if err != nil {
		return err
	}
	b := &benchmark{options: o, engine: engine, start: time.Now()}
	families, err := b.plan()
	if err != nil {
		return err
	}
	for _, f := range families {
		for _, p := range f.pairs {
			if err := b.measure(ctx, p); err != nil {
				return fmt.Errorf("%s: %w", p.name(), err)
			}
		}
		if b.time {
			if err := b.timeFamily(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", f.Family, err)
			}
		}
	}
	return b.write(families)
}
