package data

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

const (
	inMemory   = 256 << 20 // an inflated array below this many bytes is kept in memory
	maxEntries = 1024
	// Deflate cannot do better than 1032 to 1; a large array that comes near is taken for a bomb.
	maxRatio      = 1032
	largeInflated = 1 << 30
	largeRatio    = 100
)

// openNpz lists the arrays of a zip archive: its entries "<name>.npy". Others are ignored, as NumPy does.
func (d *Dataset) openNpz(f *os.File, size int64) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return fault.Wrap(fault.Data, "bad_npz", err, "the archive is damaged").InFile(d.file).WithHint("copy or save the file again")
	}
	if len(z.File) > maxEntries {
		return bad("bad_npz", "the archive has %d entries", len(z.File)).InFile(d.file)
	}
	for _, entry := range z.File {
		name, isArray := strings.CutSuffix(entry.Name, ".npy")
		if !isArray {
			continue
		}
		if d.array(name) != nil {
			return bad("bad_npz", "two arrays of one name").InFile(d.file).AtValue(name)
		}
		a := &array{name: name, file: d.file}
		if err := a.fromEntry(entry, size); err != nil {
			return a.at(err)
		}
		a.open = sync.OnceValues(func() (io.ReaderAt, error) { return d.content(f, entry) })
		d.arrays = append(d.arrays, a)
	}
	return nil
}

// fromEntry reads the header of an entry and checks what its sizes claim against the archive's size.
func (a *array) fromEntry(entry *zip.File, archive int64) error {
	plain, packed := entry.UncompressedSize64, entry.CompressedSize64
	switch {
	case entry.Flags&1 != 0:
		return bad("bad_npz", "the array is encrypted")
	case entry.Method != zip.Store && entry.Method != zip.Deflate:
		return bad("bad_npz", "compression method %d is unknown", entry.Method).WithHint("save the file with np.savez")
	case packed > uint64(archive), entry.Method == zip.Store && plain != packed, plain > packed*maxRatio+1024:
		return bad("bad_npz", "the archive cannot hold what it claims: %d bytes in %d", plain, packed)
	case plain > largeInflated && plain/packed > largeRatio:
		return bad("bad_npz", "the array inflates to %d times its size", plain/packed).
			WithHint("if the data is right, save it uncompressed, with np.savez")
	}
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h, err := readHeader(r)
	if err != nil {
		return err
	}
	a.header = *h
	return a.check(int64(plain))
}

// content makes an entry readable at any offset: where it lies if it is stored, inflated otherwise. Its
// checksum is verified on the way.
func (d *Dataset) content(f *os.File, entry *zip.File) (io.ReaderAt, error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size := int64(entry.UncompressedSize64)
	switch {
	case entry.Method == zip.Store:
		if _, err := io.Copy(io.Discard, r); err != nil {
			return nil, err
		}
		offset, err := entry.DataOffset()
		return io.NewSectionReader(f, offset, size), err
	case size < inMemory:
		var b bytes.Buffer
		b.Grow(int(size))
		_, err := io.Copy(&b, r)
		return bytes.NewReader(b.Bytes()), err
	}
	return d.scratch(r)
}

// scratch copies r into a temporary file that Close removes.
func (d *Dataset) scratch(r io.Reader) (io.ReaderAt, error) {
	f, err := os.CreateTemp("", "onnx-zip-data-*")
	if err != nil {
		return nil, err
	}
	d.atClose(func() error {
		f.Close()
		return os.Remove(f.Name())
	})
	if _, err := io.Copy(f, r); err != nil {
		return nil, fault.Wrap(fault.Data, "scratch", err, "the array cannot be inflated into %s", f.Name()).
			WithHint("make room there, set TMPDIR, or save the data uncompressed, with np.savez")
	}
	return f, nil
}
