package calibrate

import "context"

// inOrder calls do(0) … do(n-1), up to `workers` of them at once, and emit with each result, in order and
// one at a time. At most `workers` results exist at any moment, whatever n: the next do starts only after
// the oldest result has been emitted. The first error in the order of the jobs is returned; by then
// every do has ended.
func inOrder[T any](ctx context.Context, n, workers int, do func(context.Context, int) (T, error), emit func(int, T) error) error {
	type outcome struct {
		result T
		err    error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := func(i int) chan outcome {
		done := make(chan outcome, 1)
		go func() {
			r, err := do(ctx, i)
			done <- outcome{r, err}
		}()
		return done
	}

	var running []chan outcome // the jobs next-len(running) … next-1
	var failed error
	for next := 0; next < n || len(running) > 0; {
		if failed == nil && next < n && len(running) < max(1, workers) {
			running = append(running, start(next))
			next++
			continue
		}
		if len(running) == 0 {
			break // failed, and all have ended
		}
		out := <-running[0]
		i := next - len(running)
		running = running[1:]
		if failed != nil {
			continue
		}
		if failed = out.err; failed == nil {
			failed = emit(i, out.result)
		}
		if failed != nil {
			cancel()
		}
	}
	return failed
}
