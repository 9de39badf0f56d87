package report

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Write puts content under path in one step: readers see the old file or the new one, never a part. A file that
// exists is replaced with force only. Errors are of kind fault.Output.
func Write(path string, content []byte, force bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".onnx-zip-*.tmp")
	if err != nil {
		return failed(path, err)
	}
	defer os.Remove(tmp.Name()) // nothing to remove once it was renamed
	if _, err = tmp.Write(content); err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err != nil {
		return failed(path, err)
	}
	if !force {
		return place(tmp.Name(), path)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return failed(path, err)
	}
	return nil
}

// place gives temp its final name unless that exists: a link fails where a rename would overwrite what came into
// being since the path was looked at.
func place(temp, path string) error {
	err := os.Link(temp, path)
	if err == nil {
		return nil // the caller removes temp
	}
	if _, lerr := os.Lstat(path); errors.Is(err, fs.ErrExist) || lerr == nil {
		return fault.New(fault.Output, "output_exists", "exists already").InFile(path).
			WithHint("choose another name, or overwrite it with --force")
	}
	if err := os.Rename(temp, path); err != nil { // a file system without hard links
		return failed(path, err)
	}
	return nil
}

func failed(path string, err error) error {
	return fault.Wrap(fault.Output, "output_failed", err, "cannot be written").InFile(path)
}

// clean makes text safe to put into XML and to read: what XML cannot hold, and marks that change the direction
// of the text around them, become U+FFFD.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r >= 0x7f && r < 0xa0, r == 0xfffe || r == 0xffff,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}
