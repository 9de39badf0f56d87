package match

import (
	"runtime"
	"sync"
)

// chunk is the number of features that a worker treats at once.
const chunk = 1024

// inChunks calls f for all of [0, n), in pieces of a size side by side, and returns the first piece's error. What a piece
// computes must not depend on the others.
func inChunks(n, size int, f func(from, to int) error) error {
	if n <= size {
		return f(0, n)
	}
	errs := make([]error, (n+size-1)/size)
	pieces := make(chan int, len(errs))
	for k := range errs {
		pieces <- k
	}
	close(pieces)
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(errs)) {
		all.Go(func() {
			for k := range pieces {
				errs[k] = f(k*size, min((k+1)*size, n))
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
