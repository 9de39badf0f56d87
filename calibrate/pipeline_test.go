package calibrate

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestInOrderKeepsOrderAndBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "jobs")
		workers := rapid.IntRange(0, 6).Draw(t, "workers")
		most := rapid.IntRange(0, 9).Draw(t, "results")
		var held, running, emitted atomic.Int64
		do := func(_ context.Context, i int) (int, error) {
			if h := held.Add(1); h > int64(max(1, workers, most)) {
				return 0, errors.New("too many results at once")
			}
			if running.Add(1) > int64(max(1, workers)) {
				return 0, errors.New("too many jobs at once")
			}
			time.Sleep(time.Duration(i%3) * 10 * time.Microsecond)
			running.Add(-1)
			return i * i, nil
		}
		emit := func(i, r int) error {
			if int64(i) != emitted.Add(1)-1 || r != i*i {
				return errors.New("out of order")
			}
			held.Add(-1)
			return nil
		}
		if err := InOrder(t.Context(), n, workers, most, do, emit); err != nil {
			t.Fatal(err)
		}
		if emitted.Load() != int64(n) {
			t.Fatalf("%d results of %d jobs", emitted.Load(), n)
		}
	})
}

func TestInOrderReturnsTheFirstError(t *testing.T) {
	three, five := errors.New("three"), errors.New("five")
	var running atomic.Int64
	do := func(ctx context.Context, i int) (int, error) {
		running.Add(1)
		defer running.Add(-1)
		switch i {
		case 3: // fails last of all that run
			<-ctx.Done()
			return 0, three
		case 5:
			return 0, five
		}
		return i, nil
	}
	emit := func(i, _ int) error {
		if i == 2 {
			return errors.New("emit")
		}
		return nil
	}
	if err := InOrder(t.Context(), 100, 4, 4, do, emit); err == nil || err.Error() != "emit" {
		t.Errorf("got %v: want the error of emit", err)
	}
	if running.Load() != 0 {
		t.Error("jobs still run after the end")
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := InOrder(ctx, 100, 4, 4, do, func(int, int) error { return nil }); !errors.Is(err, three) {
		t.Errorf("got %v: want that of job 3, which comes before 5", err)
	}
}
