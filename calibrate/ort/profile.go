package ort

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// nameProfile gives the profile the name that was asked for: the library adds the time to it.
func nameProfile(path string) error {
	if path == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fault.Wrap(fault.Output, "output_failed", err, "the profile cannot be found").InFile(path)
	}
	newest := ""
	for _, e := range entries { // sorted, and so are the times
		if strings.HasPrefix(e.Name(), filepath.Base(path)+"_") && strings.HasSuffix(e.Name(), ".json") {
			newest = filepath.Join(filepath.Dir(path), e.Name())
		}
	}
	if newest == "" {
		return fault.New(fault.Output, "output_failed", "ONNX Runtime has written no profile").InFile(path).
			WithHint("choose a folder that you may write to")
	}
	if err := os.Rename(newest, path); err != nil {
		return fault.Wrap(fault.Output, "output_failed", err, "the profile cannot be renamed").InFile(path)
	}
	return nil
}
