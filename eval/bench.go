package eval

import (
	"context"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// bench holds the open sessions.
type bench struct {
	options  LatencyOptions
	subjects [][]stage
}

// stage is one model of a subject, with the feeds of the current batch size.
type stage struct {
	model   *onnx.Model
	session calibrate.Session
	feeds   map[string]*onnx.Tensor
}

// open opens a session for every model of every subject.
func (b *bench) open(ctx context.Context, e calibrate.Engine, subjects []Subject) error {
	for _, s := range subjects {
		b.subjects = append(b.subjects, nil)
		stages := &b.subjects[len(b.subjects)-1]
		for _, m := range s.Models {
			session, err := e.Open(ctx, m, calibrate.SessionOptions{Threads: b.options.Threads})
			if err != nil {
				return err
			}
			*stages = append(*stages, stage{model: m, session: session})
		}
	}
	return nil
}

func (b *bench) close() {
	for _, stages := range b.subjects {
		for _, s := range stages {
			s.session.Close()
		}
	}
}

// measure returns the times of each subject in each round, in ms.
func (b *bench) measure(ctx context.Context, batch int) ([][]float64, error) {
	for _, stages := range b.subjects {
		for i := range stages {
			var err error
			if stages[i].feeds, err = randomFeeds(stages[i].model, batch); err != nil {
				return nil, err
			}
		}
	}
	times := make([][]float64, len(b.subjects))
	runtime.GC() // what the feeds left behind is not to be cleared while the clock runs
	random := rand.New(rand.NewPCG(1, 2))
	for round := -max(0, b.options.Warmup); round < b.options.Runs; round++ {
		for _, i := range random.Perm(len(b.subjects)) {
			if _, err := runAll(ctx, b.subjects[i]); err != nil {
				return nil, err
			}
			ms, err := runAll(ctx, b.subjects[i])
			if err != nil {
				return nil, err
			}
			if round >= 0 {
				times[i] = append(times[i], ms)
			}
		}
	}
	return times, nil
}

// runAll runs the models of a subject one after the other and returns the time that takes, in ms.
func runAll(ctx context.Context, stages []stage) (float64, error) {
	start := time.Now()
	for _, s := range stages {
		if _, err := s.session.Run(ctx, s.feeds); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(start)) / float64(time.Millisecond), nil
}
