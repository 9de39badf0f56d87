package match

import (
	"runtime"
	"sync"
)

// chunk is the number of features that a worker treats at once.
const chunk = 128

// inChunks calls f for all of [0, n), in pieces side by side. What a piece computes must not depend on the others.
func inChunks(n int, f func(from, to int)) {
	if n <= chunk {
		f(0, n)
		return
	}
	pieces := make(chan int, n/chunk+1)
	for from := 0; from < n; from += chunk {
		pieces <- from
	}
	close(pieces)
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n/chunk+1) {
		all.Go(func() {
			for from := range pieces {
				f(from, min(from+chunk, n))
			}
		})
	}
	all.Wait()
}
