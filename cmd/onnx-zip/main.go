// Command onnx-zip merges trained ONNX models into one multi-head file. See package internal/cli.
package main

import (
	"context"
	"os"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/gorgonnx"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
	"github.com/onnx-zip/onnx-zip/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Signals(context.Background()), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, cli.Deps{
		Open: func(o cli.EngineOptions) (calibrate.Engine, error) { return ort.Open(ort.Options(o)) },
		Doctor: func(ctx context.Context, library string) cli.Runtime {
			return cli.Runtime(ort.Doctor(ctx, ort.Options{Library: library}))
		},
		Second: gorgonnx.Engine{},
	}))
}
