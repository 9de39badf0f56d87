package ortlib

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Library is a shared library of ONNX Runtime that fits this machine.
type Library struct {
	Path    string // absolute
	Origin  string // which place of the search order it came from: "flag", "cache", …
	Version string // "1.24.3"; "" where the file does not tell
	HasCUDA bool   // whether the CUDA provider lies beside it
	CUDADir string // where the CUDA provider was looked for: the only place where ONNX Runtime looks
}

// String is "ONNX Runtime 1.24.3, /path (cache)".
func (l Library) String() string {
	version := l.Version
	if version == "" {
		version = "(version unknown)"
	}
	return fmt.Sprintf("ONNX Runtime %s, %s (%s)", version, l.Path, l.Origin)
}

// platform is the machine that a library must fit.
type platform struct{ os, arch string }

// The codes of the errors with which a library is refused.
const (
	codeMissing   = "runtime_missing"
	codeTooOld    = "runtime_too_old"
	codeOtherArch = "runtime_other_architecture"
	codeNoLibrary = "runtime_not_a_library"
)

// refusal says why a file cannot be used.
type refusal struct{ code, reason string }

// inspect decides by its header whether the file at path can be loaded on p.
func inspect(path string, p platform) (Library, *refusal) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Library{}, &refusal{codeMissing, err.Error()}
	}
	img, err := readImage(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Library{}, &refusal{codeMissing, "no such file"}
	case errors.Is(err, errNoLibrary):
		return Library{}, &refusal{codeNoLibrary, err.Error()}
	case err != nil:
		return Library{}, &refusal{codeMissing, "cannot be read: " + pathCause(err)}
	}
	if img.os != p.os || !slices.Contains(img.archs, p.arch) {
		return Library{}, &refusal{codeOtherArch, fmt.Sprintf("is for %s/%s, this is %s/%s",
			img.os, strings.Join(img.archs, "+"), p.os, p.arch)}
	}
	lib := Library{Path: abs, Version: img.version, CUDADir: filepath.Dir(abs)}
	if lib.Version == "" {
		lib.Version = nameVersion(abs)
	}
	if lib.Version != "" && olderThan(lib.Version, MinVersion) {
		return Library{}, &refusal{codeTooOld, fmt.Sprintf("is version %s, %s or newer is needed", lib.Version, MinVersion)}
	}
	_, err = os.Stat(filepath.Join(lib.CUDADir, cudaProvider(p.os)))
	lib.HasCUDA = err == nil
	return lib, nil
}

// nameVersion reads the version off the file's real name, libonnxruntime.so.1.24.3; a mere soname
// ("….so.1") tells nothing.
func nameVersion(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return versionIn(filepath.Base(path))
}

// pathCause is err without the path, which the message names already.
func pathCause(err error) string {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// cudaProvider is the file that ONNX Runtime opens, beside itself, when CUDA is asked for.
func cudaProvider(goos string) string {
	if goos == "windows" {
		return "onnxruntime_providers_cuda.dll"
	}
	return "libonnxruntime_providers_cuda.so"
}

// isMain reports whether name is the library itself, as packages name it.
func isMain(name, goos string) bool {
	switch goos {
	case "windows":
		return strings.EqualFold(name, "onnxruntime.dll")
	case "darwin":
		return strings.HasPrefix(name, "libonnxruntime.") && strings.HasSuffix(name, ".dylib")
	}
	rest, ok := strings.CutPrefix(name, "libonnxruntime.so")
	return ok && strings.Trim(rest, ".0123456789") == ""
}

// isProvider reports whether name is an execution provider's library, to be kept beside the main one.
func isProvider(name, goos string) bool {
	if goos == "windows" {
		return strings.HasPrefix(name, "onnxruntime_providers_") && strings.HasSuffix(name, ".dll")
	}
	return strings.HasPrefix(name, "libonnxruntime_providers_") &&
		(strings.HasSuffix(name, ".so") || strings.HasSuffix(name, ".dylib"))
}

// mainsIn lists the candidates in a folder, the newest name first.
func mainsIn(dir, goos string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if isMain(e.Name(), goos) {
			names = append(names, e.Name())
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return byVersion(b, a) })
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	return names
}

// byVersion orders names by the version in them.
func byVersion(a, b string) int {
	va, vb := versionIn(a), versionIn(b)
	switch {
	case olderThan(va, vb):
		return -1
	case olderThan(vb, va):
		return 1
	}
	return strings.Compare(a, b)
}
