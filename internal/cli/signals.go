package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Signals returns a context that SIGINT and SIGTERM cancel, each with its exit code as the cause. The second
// signal ends the process at once.
func Signals(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		e := fault.New(fault.Interrupted, "interrupted", "interrupted; nothing was written")
		if s == syscall.SIGTERM {
			e = fault.New(fault.Terminated, "terminated", "terminated; nothing was written")
		}
		cancel(e)
	}()
	return ctx
}
