//go:build unix

package calibrate

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const canMap = true

// mapFile maps a new file of zeros without a name.
func mapFile(dir string, size int64) ([]byte, error) {
	f, err := reserve(dir, size)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping keeps it
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(b []byte) error { return unix.Munmap(b) }

// floatsOf is the same memory; a mapping begins at a page.
func floatsOf(b []byte) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}
