// Command demo shows what onnx-zip does to real models: it merges those of testdata/models in every way and
// prints a table of what came out.
//
//	make demo
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
)

func main() {
	program := flag.String("program", "bin/onnx-zip", "the built command line")
	models := flag.String("models", "testdata/models", "the folder of the models")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *program, *models); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is what all its parts use.
type demo struct {
	engine  calibrate.Engine
	out     io.Writer
	program string // the command line
	dir     string // the models
	start   time.Time
}

// step says what takes time, on stderr.
func (d *demo) step(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "  %4.0f s  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func run(ctx context.Context, out io.Writer, program, models string) error {
	engine, err := ort.Open(ort.Options{Device: "cpu"})
	if err != nil {
		return err
	}
	d := &demo{engine: engine, out: out, program: program, dir: models, start: time.Now()}
	merged := filepath.Join(filepath.Dir(program), "demo-merged.onnx")
	if err := d.command(ctx, merged); err != nil {
		return err
	}
	if err := d.compare(ctx, "fmnist_resnet20", merged); err != nil {
		return err
	}
	if err := d.commonOrigin(ctx, "fmnist_frozen", "fmnist_tuned"); err != nil {
		return err
	}
	d.yourOwn()
	return nil
}

// command merges the pair as a user would.
func (d *demo) command(ctx context.Context, merged string) error {
	path := func(name string) string { return filepath.Join(d.dir, name) }
	args := []string{
		"merge", path("fmnist_resnet20_a.onnx"), path("fmnist_resnet20_b.onnx"),
		"--heads", "a,b", "--data", path("fmnist_calib.npz"), "-o", merged, "--force",
	}
	fmt.Fprintf(d.out, "$ %s %s\n", d.program, strings.Join(args, " "))
	c := exec.CommandContext(ctx, d.program, args...)
	c.Stdout, c.Stderr = d.out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", d.program, err)
	}
	return nil
}

// yourOwn closes with what to do next.
func (d *demo) yourOwn() {
	fmt.Fprintf(d.out, `
Your own pair, a.onnx and b.onnx: what they can share; a file of some hundred of their inputs, unlabelled, of both
tasks, prepared as in training (its name in the file is the model's input's); the merge.

  %[1]s inspect a.onnx b.onnx
  python3 -c 'import numpy as np; np.savez("calib.npz", input=np.load("images.npy").astype("float32"))'
  %[1]s merge a.onnx b.onnx --data calib.npz -o merged.onnx
`, d.program)
}
