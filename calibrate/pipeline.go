package calibrate

import "context"

// outcome is how a job of InOrder ended.
type outcome[T any] struct {
	result T
	err    error
}

// InOrder calls do(0) … do(n-1), up to `workers` of them at once, and emit with each result, in order and
// one at a time. At most `held` results, and no fewer than the workers, exist at any moment, whatever n: with more than the
// workers, a job that takes longer does not keep the others waiting. The first error in the order of the jobs is returned;
// by then every job has ended.
func InOrder[T any](ctx context.Context, n, workers, held int, do func(context.Context, int) (T, error), emit func(int, T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers = max(1, workers)
	slots := make(chan struct{}, workers)
	var started []chan outcome[T] // of the jobs next-len(started) … next-1
	var failed error
	for next := 0; ; {
		for failed == nil && next < n && len(started) < max(workers, held) {
			started = append(started, start(ctx, next, slots, do))
			next++
		}
		if len(started) == 0 {
			return failed
		}
		out := <-started[0]
		i := next - len(started)
		started = started[1:]
		if failed != nil {
			continue // only waiting for the rest to end
		}
		if failed = out.err; failed == nil {
			failed = emit(i, out.result)
		}
		if failed != nil {
			cancel()
		}
	}
}

// start runs do(i) in a goroutine of its own, once there is a slot.
func start[T any](ctx context.Context, i int, slots chan struct{}, do func(context.Context, int) (T, error)) chan outcome[T] {
	done := make(chan outcome[T], 1)
	go func() {
		slots <- struct{}{}
		defer func() { <-slots }()
		r, err := do(ctx, i)
		done <- outcome[T]{r, err}
	}()
	return done
}

// turns lets batches that run at once do each of several steps in the order of the batches.
type turns [][]chan struct{} // of each batch, for each step: closed when it is done

func newTurns(batches, steps int) turns {
	t := make(turns, batches)
	for i := range t {
		t[i] = make([]chan struct{}, steps)
		for k := range t[i] {
			t[i][k] = make(chan struct{})
		}
	}
	return t
}

// take calls f when the batch before has done this step. Where that one fails, ctx has to end.
func (t turns) take(ctx context.Context, batch, step int, f func() error) error {
	if batch > 0 {
		select {
		case <-t[batch-1][step]:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := f(); err != nil {
		return err
	}
	close(t[batch][step])
	return nil
}
