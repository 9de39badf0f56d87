package ortlib

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// EnvLibrary names the environment variable that holds the library's path.
const EnvLibrary = "ONNXRUNTIME_LIB"

// Tried is one place where the library was looked for, and why it was not taken from there.
type Tried struct {
	Origin string // the step of the search order
	Where  string // the file, or the folders
	Reason string
}

// SearchError is the cause of a failed search: every place with its reason.
type SearchError struct{ Tried []Tried }

// Error lists the places, one a line.
func (e *SearchError) Error() string {
	lines := make([]string, 0, len(e.Tried)+1)
	lines = append(lines, "looked in")
	for _, t := range e.Tried {
		lines = append(lines, fmt.Sprintf("  %s: %s: %s", t.Origin, t.Where, t.Reason))
	}
	return strings.Join(lines, "\n")
}

// Locate finds the library: at explicit (a file, or a folder with the library in it); at $ONNXRUNTIME_LIB;
// beside this program; in our cache; on the loader's path; in Python's site-packages. The first that fits
// this machine is returned.
//
// Errors are of kind fault.Runtime. Where the search found nothing, the cause is a *SearchError. A path that
// the user named, by argument or variable, is never passed over: if it does not work, that is the error.
func Locate(explicit string) (Library, error) { return newSearch().locate(explicit) }

func (s *search) locate(explicit string) (Library, error) {
	named, origin := explicit, "flag"
	if named == "" {
		named, origin = s.env(EnvLibrary), EnvLibrary
	}
	if named != "" {
		return s.named(origin, named)
	}
	tried := []Tried{{"flag", "-", "not given"}, {EnvLibrary, "-", "not set"}}
	code := codeMissing
	for _, place := range s.places() {
		lib, failed, refused := s.try(place)
		if lib.Path != "" {
			return lib, nil
		}
		tried = append(tried, failed...)
		if refused != nil && code == codeMissing {
			code = refused.code
		}
	}
	return Library{}, fault.Wrap(fault.Runtime, code, &SearchError{tried},
		"no ONNX Runtime %s or newer for %s/%s was found", MinVersion, s.platform.os, s.platform.arch).
		WithHint("run `onnx-zip setup`, or set %s to the library's path", EnvLibrary)
}

// named takes the library from where the user says, or fails.
func (s *search) named(origin, path string) (Library, error) {
	candidates := mainsIn(path, s.platform.os)
	if len(candidates) == 0 {
		candidates = []string{path}
	}
	lib, _, refused := s.firstOf(origin, candidates)
	if lib.Path != "" {
		return lib, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() && candidates[0] == path {
		refused = &refusal{codeMissing, "the folder has no library in it"}
	}
	return Library{}, fault.New(fault.Runtime, refused.code, "the library named by %s cannot be used: %s", origin, refused.reason).
		InFile(path).WithHint("correct the path, or leave it out and run `onnx-zip setup`")
}

// try looks through the folders of one place.
func (s *search) try(p place) (Library, []Tried, *refusal) {
	dirs, err := p.dirs()
	if err != nil {
		return Library{}, []Tried{{p.origin, "-", err.Error()}}, nil
	}
	var candidates []string
	for _, dir := range dirs {
		candidates = append(candidates, mainsIn(dir, s.platform.os)...)
	}
	if len(candidates) == 0 {
		return Library{}, []Tried{{p.origin, orDash(dirs), "no library there"}}, nil
	}
	return s.firstOf(p.origin, candidates)
}

// firstOf returns the first candidate that fits, else why each did not.
func (s *search) firstOf(origin string, candidates []string) (Library, []Tried, *refusal) {
	var tried []Tried
	var first *refusal
	for _, path := range candidates {
		lib, refused := inspect(path, s.platform)
		if refused == nil {
			lib.Origin = origin
			return lib, nil, nil
		}
		tried = append(tried, Tried{origin, path, refused.reason})
		if first == nil {
			first = refused
		}
	}
	return Library{}, tried, first
}

func orDash(dirs []string) string {
	if len(dirs) == 0 {
		return "-"
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}
