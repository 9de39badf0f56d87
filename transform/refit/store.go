package refit

import (
	"os"
	"sync"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// store keeps what a refit has to remember between two passes over the samples: one tensor for each owner,
// value and batch, in memory up to a budget, beyond it in a scratch file that has no name any more and vanishes
// with the process. All walks of a refit share one. It may be used from several goroutines.
type store struct {
	budget int64
	dir    string

	mu      sync.Mutex
	held    int64 // bytes in memory
	peak    int64 // the most that was held
	tensors map[key]*entry
	file    *os.File
	end     int64
	free    map[int64][]int64 // room in the file, by size
}

type key struct {
	owner any // whose value it is: the same names are used by several walks
	value string
	batch int
}

type entry struct {
	tensor *onnx.Tensor // Raw is nil while it lies in the file
	size   int64
	offset int64
}

func newStore(budget int64, dir string) *store {
	return &store{budget: budget, dir: dir, tensors: map[key]*entry{}, free: map[int64][]int64{}}
}

// put keeps a tensor, replacing an older one of its key.
func (s *store) put(k key, t *onnx.Tensor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(k)
	size := int64(len(t.Raw))
	e := &entry{tensor: t, size: size}
	if s.held+size > s.budget {
		if err := s.spill(e); err != nil {
			return fault.Wrap(fault.Output, "scratch_failed", err, "scratch space").
				WithHint("name a folder with room by --scratch, or allow more memory by --memory")
		}
	} else {
		s.held += size
		s.peak = max(s.peak, s.held)
	}
	s.tensors[k] = e
	return nil
}

func (s *store) spill(e *entry) error {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "onnx-zip-scratch-*")
		if err != nil {
			return err
		}
		os.Remove(f.Name()) // where the system keeps open files alive; removed at close elsewhere
		s.file = f
	}
	if room := s.free[e.size]; len(room) > 0 {
		e.offset, s.free[e.size] = room[len(room)-1], room[:len(room)-1]
	} else {
		e.offset = s.end
		s.end += e.size
	}
	if _, err := s.file.WriteAt(e.tensor.Raw, e.offset); err != nil {
		return err
	}
	e.tensor = &onnx.Tensor{DType: e.tensor.DType, Dims: e.tensor.Dims}
	return nil
}

// get returns a tensor that was put.
func (s *store) get(k key) (*onnx.Tensor, error) {
	s.mu.Lock()
	e, ok := s.tensors[k]
	s.mu.Unlock()
	if !ok {
		return nil, fault.New(fault.Internal, "frontier", "value %q of batch %d is not kept", k.value, k.batch)
	}
	if e.tensor.Raw != nil || e.size == 0 {
		return e.tensor, nil
	}
	t := &onnx.Tensor{DType: e.tensor.DType, Dims: e.tensor.Dims, Raw: make([]byte, e.size)}
	if _, err := s.file.ReadAt(t.Raw, e.offset); err != nil {
		return nil, fault.Wrap(fault.Output, "scratch_failed", err, "scratch space")
	}
	return t, nil
}

// drop forgets a tensor.
func (s *store) drop(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(k)
}

// dropAll forgets all tensors of an owner.
func (s *store) dropAll(owner any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.tensors {
		if k.owner == owner {
			s.forget(k)
		}
	}
}

func (s *store) forget(k key) {
	e, ok := s.tensors[k]
	if !ok {
		return
	}
	if e.tensor.Raw != nil {
		s.held -= e.size
	} else {
		s.free[e.size] = append(s.free[e.size], e.offset)
	}
	delete(s.tensors, k)
}

// form is the type and rank of a kept value, without reading it.
func (s *store) form(k key) (t onnx.DType, rank int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.tensors[k]; ok {
		return e.tensor.DType, len(e.tensor.Dims), true
	}
	return onnx.Undefined, 0, false
}

// used is the most that was held in memory, and the size of the file.
func (s *store) used() (memory, file int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak, s.end
}

func (s *store) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}
