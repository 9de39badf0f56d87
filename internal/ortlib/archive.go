package ortlib

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// visit is called for each regular file of an archive; name has forward slashes.
type visit func(name string, r io.Reader) error

// eachFile goes through an archive (.tgz, .tar.gz, .zip, .whl, .nupkg), a folder, or the folder of a single
// library. Links are passed over: what they point to is there as a file too. Errors are of kind
// fault.Runtime, or f's.
func eachFile(from string, f visit) error {
	info, err := os.Stat(from)
	if err != nil {
		return fault.New(fault.Runtime, "archive_unreadable", "cannot be read: %s", pathCause(err)).InFile(from).
			WithHint("give an archive (.tgz, .zip, .whl), a folder or a library")
	}
	if info.IsDir() {
		return eachInFolder(from, f)
	}
	switch name := strings.ToLower(filepath.Base(from)); {
	case strings.HasSuffix(name, ".tgz"), strings.HasSuffix(name, ".tar.gz"):
		err = eachInTar(from, f)
	case strings.HasSuffix(name, ".zip"), strings.HasSuffix(name, ".whl"), strings.HasSuffix(name, ".nupkg"):
		err = eachInZip(from, f)
	default:
		return eachBeside(from, f)
	}
	if errors.Is(err, errDamaged) {
		return fault.New(fault.Runtime, "archive_damaged", "the archive is damaged or cut short").InFile(from).
			WithHint("fetch it again")
	}
	return err
}

// errDamaged stands for what the readers of archives complain about.
var errDamaged = errors.New("damaged archive")

// archiveReader turns read errors into errDamaged, so that they are told from write errors.
type archiveReader struct{ r io.Reader }

func (a archiveReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && err != io.EOF {
		err = errDamaged
	}
	return n, err
}

func eachInTar(from string, f visit) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return errDamaged
	}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return errDamaged
		case header.Typeflag != tar.TypeReg:
			continue
		}
		if err := visitLocal(header.Name, r, f); err != nil {
			return err
		}
	}
}

func eachInZip(from string, f visit) error {
	r, err := zip.OpenReader(from)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return errDamaged
	}
	defer r.Close()
	for _, file := range r.File {
		if !file.Mode().IsRegular() {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return errDamaged
		}
		err = visitLocal(file.Name, content, f)
		content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// visitLocal refuses names that lead out of the archive. Nothing is ever written under such a name, but
// an archive that has one was not made by ONNX Runtime's builders.
func visitLocal(name string, r io.Reader, f visit) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, `\`) {
		return fault.New(fault.Runtime, "archive_hostile", "the archive has a file %q outside itself", name).
			WithHint("fetch it from where you trust it")
	}
	return f(path.Clean(name), archiveReader{r})
}

func eachInFolder(dir string, f visit) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what cannot be read is passed over, like what is no library
		}
		return visitFile(path, dir, f)
	})
}

// eachBeside visits a library and the providers in its folder.
func eachBeside(from string, f visit) error {
	dir := filepath.Dir(from)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fault.Wrap(fault.Runtime, "archive_unreadable", err, "the library's folder cannot be read").InFile(from)
	}
	for _, e := range entries {
		if e.Name() == filepath.Base(from) || isAnyProvider(e.Name()) {
			if err := visitFile(filepath.Join(dir, e.Name()), dir, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func visitFile(path, dir string, f visit) error {
	file, err := os.Open(path)
	if err != nil {
		return fault.New(fault.Runtime, "archive_unreadable", "cannot be read: %s", pathCause(err)).InFile(path)
	}
	defer file.Close()
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	return f(filepath.ToSlash(name), file)
}

func isAnyProvider(name string) bool { return isProvider(name, "windows") || isProvider(name, "linux") }

// contextReader ends a copy when ctx does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
