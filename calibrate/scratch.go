package calibrate

import (
	"errors"
	"os"
	"sync"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// smallestMapped is the size in bytes from which on a matrix may be kept in a file.
const smallestMapped = 1 << 20

// Scratch keeps matrices of second moments: in memory up to a limit, beyond it in files that have no name any more and
// vanish with the process, mapped into memory. The system then keeps of them in memory what there is room for. A nil
// *Scratch keeps all in memory.
type Scratch struct {
	dir   string
	limit int64

	mu           sync.Mutex
	held, mapped int64
	files        [][]byte
}

// NewScratch keeps so many bytes in memory, the rest in the folder dir, the system's temporary one where "".
func NewScratch(dir string, memory int64) *Scratch { return &Scratch{dir: dir, limit: memory} }

// Floats returns n zeros. They must not be used after Close. Errors are of kind fault.Output: the folder has no room.
func (s *Scratch) Floats(n int) ([]float64, error) {
	if s == nil {
		return make([]float64, n), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := 8 * int64(n)
	if s.holds(s.held, size) {
		s.held += size
		return make([]float64, n), nil
	}
	bytes, err := mapFile(s.dir, size)
	if err != nil {
		return nil, fault.Wrap(fault.Output, "scratch_failed", err, "scratch space").
			WithHint("name a folder with room by --scratch, or allow more memory by --memory")
	}
	s.mapped += size
	s.files = append(s.files, bytes)
	return floatsOf(bytes), nil
}

// holds reports whether a matrix stays in memory where so much is there already.
func (s *Scratch) holds(held, size int64) bool {
	return held+size <= s.limit || size < smallestMapped || !canMap
}

// Foresee is what Used will be after a Capture of these taps.
func (s *Scratch) Foresee(taps []Tap) (memory, files int64) {
	memory, files = s.Used()
	for _, t := range taps {
		if t.Diagonal {
			continue
		}
		if size := 8 * int64(t.features()) * int64(t.features()); s.holds(memory, size) {
			memory += size
		} else {
			files += size
		}
	}
	return memory, files
}

// Used is what was asked for so far, in bytes: in memory, and in files.
func (s *Scratch) Used() (memory, files int64) {
	if s == nil {
		return 0, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.mapped
}

// Close gives the files back to the system, and with them every matrix that lies in one.
func (s *Scratch) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		errs = append(errs, unmap(f))
	}
	s.files = nil
	return errors.Join(errs...)
}

// reserve makes a file without a name that has room for size bytes of zeros. A hole would do until the disk is full: then
// writing to the mapping would end the process.
func reserve(dir string, size int64) (*os.File, error) {
	f, err := os.CreateTemp(dir, "onnx-zip-scratch-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	zeros := make([]byte, 1<<20)
	for left := size; left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}
