package ortlib

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// maxExtracted is more than any archive with the library needs: with all of CUDA's it is under 1 GB.
const maxExtracted = 4 << 30

// installer puts the libraries of an archive into the cache: into a temporary folder first, which then
// gets its final name in one step. Any number of installers may run at once.
type installer struct {
	root     string // the cache
	platform platform
	pinned   bool  // only libraries that this package knows
	limit    int64 // bytes that an archive may unpack to
}

// install returns the installed library. Errors are ctx's or of kind fault.Runtime or fault.Output;
// whatever happens, there is no half-written library under a final name.
func (i installer) install(ctx context.Context, from string) (Library, error) {
	if err := os.MkdirAll(i.root, 0o755); err != nil {
		return Library{}, i.outputError(err)
	}
	i.sweep()
	temp, err := os.MkdirTemp(i.root, tempPrefix)
	if err != nil {
		return Library{}, i.outputError(err)
	}
	defer os.RemoveAll(temp)
	dirs, err := i.extract(ctx, from, temp)
	if err != nil {
		return Library{}, err
	}
	lib, err := i.choose(dirs, from)
	if err != nil {
		return Library{}, err
	}
	if err := ctx.Err(); err != nil {
		return Library{}, err
	}
	name := lib.Version
	if name == "" {
		name = "unknown"
	}
	if lib.HasCUDA {
		name += gpuSuffix
	}
	return i.publish(lib, filepath.Join(i.root, name))
}

const tempPrefix = ".tmp-"

// sweep removes what interrupted installations left behind. A day is longer than any installation.
func (i installer) sweep() {
	left, _ := filepath.Glob(filepath.Join(i.root, tempPrefix+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

// extract writes the library files of each folder of the archive into a folder of their own, under their
// base names: no name of the archive is used as a path. Providers come before or after their library.
func (i installer) extract(ctx context.Context, from, temp string) (dirs []string, err error) {
	folders := map[string]string{}
	var total int64
	err = eachFile(from, func(name string, r io.Reader) error {
		base := path.Base(name)
		if !isMain(base, i.platform.os) && !isProvider(base, i.platform.os) {
			return ctx.Err()
		}
		dir, ok := folders[path.Dir(name)]
		if !ok {
			dir = filepath.Join(temp, strconv.Itoa(len(folders)))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return i.outputError(err)
			}
			folders[path.Dir(name)], dirs = dir, append(dirs, dir)
		}
		n, err := i.write(ctx, filepath.Join(dir, base), r, i.limit-total)
		total += n
		return err
	})
	return dirs, err
}

func (i installer) write(ctx context.Context, name string, r io.Reader, limit int64) (int64, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return 0, i.outputError(err)
	}
	defer f.Close()
	n, err := io.Copy(f, contextReader{ctx, io.LimitReader(r, limit+1)})
	switch {
	case errors.Is(err, errDamaged), ctx.Err() != nil:
		return n, err
	case err != nil:
		return n, i.outputError(err)
	case n > limit:
		return n, fault.New(fault.Runtime, "archive_hostile", "the archive unpacks to more than %d bytes", i.limit).
			WithHint("fetch it from where you trust it")
	}
	if err := f.Sync(); err != nil {
		return n, i.outputError(err)
	}
	return n, f.Close()
}

// choose picks the library that fits this machine, from one of the folders.
func (i installer) choose(dirs []string, from string) (Library, error) {
	first := &refusal{codeMissing, fmt.Sprintf("has no ONNX Runtime library for %s/%s", i.platform.os, i.platform.arch)}
	found := false
	for _, dir := range dirs {
		for _, candidate := range mainsIn(dir, i.platform.os) {
			lib, refused := inspect(candidate, i.platform)
			if refused == nil {
				return lib, i.known(lib, from)
			}
			if !found {
				first, found = refused, true
			}
		}
	}
	return Library{}, fault.New(fault.Runtime, first.code, "%s", first.reason).InFile(from).
		WithHint("give ONNX Runtime %s or newer for %s/%s", MinVersion, i.platform.os, i.platform.arch)
}

// known holds a fetched library against the known ones.
func (i installer) known(lib Library, from string) error {
	if !i.pinned {
		return nil
	}
	sum, err := fileSHA256(lib.Path)
	if err != nil {
		return i.outputError(err)
	}
	if !isPinned(i.platform, sum) {
		return checksumError(from, "the library in it", sum)
	}
	return nil
}

func checksumError(file, what, got string) error {
	return fault.New(fault.Runtime, "checksum", "%s is not the one that this version of onnx-zip expects (checksum %s)", what, got).
		InFile(file).WithHint("fetch it again; if it stays so, somebody has changed it on the way")
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// publish gives the library's folder its final name. An installation that is there already stays if it is
// the same; another one is moved out of the way first, so that nobody sees a mixture. Installers that
// disagree replace each other's work, and the last one stays.
func (i installer) publish(lib Library, final string) (Library, error) {
	dir, name := filepath.Split(lib.Path)
	dir = filepath.Clean(dir)
	syncDir(dir)
	for attempt := 0; ; attempt++ {
		err := os.Rename(dir, final)
		if err == nil {
			syncDir(i.root)
			break
		}
		if !occupied(final, err) || attempt == 100 { // as many installers do not run at once
			return Library{}, i.outputError(err)
		}
		if sameContent(filepath.Join(final, name), lib.Path) {
			break
		}
		old := filepath.Join(filepath.Dir(dir), "old"+strconv.Itoa(attempt)) // removed with the temporary folder
		if err := os.Rename(final, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Library{}, i.outputError(err)
		}
	}
	lib.Path, lib.CUDADir, lib.Origin = filepath.Join(final, name), final, "cache"
	return lib, nil
}

// occupied reports whether a rename to final failed because final exists. Not every system says so in
// the error; where it does, final may be gone again by now.
func occupied(final string, err error) bool {
	if errors.Is(err, fs.ErrExist) {
		return true
	}
	_, err = os.Stat(final)
	return err == nil
}

func sameContent(a, b string) bool {
	x, errX := fileSHA256(a)
	y, errY := fileSHA256(b)
	return errX == nil && errY == nil && x == y
}

// syncDir makes a folder's entries last. Some systems cannot: the files themselves are synced.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

func (i installer) outputError(err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return err
	}
	return fault.New(fault.Output, "output_failed", "the library cannot be installed: %s", pathCause(err)).InFile(i.root).
		WithHint("free some space, or set %s to a folder that you may write to", EnvCache)
}
