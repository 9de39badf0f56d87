package ortlib

import (
	"bufio"
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// EnvCache names the environment variable that replaces the user's cache folder.
const EnvCache = "ONNX_ZIP_CACHE"

// search is the machine as the search sees it; tests put another one in its place.
type search struct {
	platform   platform
	env        func(string) string
	executable func() (string, error)
	userCache  func() (string, error)
	home       func() (string, error)
	systemRoot string                    // "/", before the fixed paths of the system
	askPython  func(exe string) []string // site-packages, by asking the interpreter
}

func newSearch() *search {
	return &search{
		platform: platform{runtime.GOOS, runtime.GOARCH}, env: os.Getenv, executable: os.Executable,
		userCache: os.UserCacheDir, home: os.UserHomeDir, systemRoot: "/", askPython: askPython,
	}
}

// place is a step of the search order. Its folders are listed only when the search gets there.
type place struct {
	origin string
	dirs   func() ([]string, error)
}

func (s *search) places() []place {
	return []place{
		{"beside the program", s.besideDirs},
		{"cache", s.cacheDirs},
		{"loader's path", func() ([]string, error) { return s.loaderDirs(), nil }},
		{"Python", func() ([]string, error) { return s.pythonDirs(), nil }},
		{"Python (asked)", func() ([]string, error) { return s.askedDirs(), nil }},
	}
}

func (s *search) besideDirs() ([]string, error) {
	exe, err := s.executable()
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	dir := filepath.Dir(exe)
	return []string{dir, filepath.Join(dir, "lib")}, nil
}

// cacheRoot is the folder that Setup fills: one folder for each version.
func (s *search) cacheRoot() (string, error) {
	base := s.env(EnvCache)
	if base == "" {
		user, err := s.userCache()
		if err != nil {
			return "", errors.New("no cache folder: " + err.Error())
		}
		base = filepath.Join(user, "onnx-zip")
	}
	return filepath.Join(base, "onnxruntime"), nil
}

// cacheDirs lists the installed versions: those with CUDA first, since they serve the CPU too, then the
// newest. Names with a dot in front are unfinished installations.
func (s *search) cacheDirs() ([]string, error) {
	root, err := s.cacheRoot()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return []string{root}, nil
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			dirs = append(dirs, filepath.Join(root, e.Name()))
		}
	}
	slices.SortFunc(dirs, func(a, b string) int {
		if ga, gb := strings.HasSuffix(a, gpuSuffix), strings.HasSuffix(b, gpuSuffix); ga != gb {
			return cmp.Compare(btoi(gb), btoi(ga))
		}
		return byVersion(filepath.Base(b), filepath.Base(a))
	})
	return append(dirs, root), nil
}

// gpuSuffix marks an installation that has the CUDA provider.
const gpuSuffix = "-gpu"

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// loaderDirs lists the folders in which the system's loader looks.
func (s *search) loaderDirs() []string {
	var dirs []string
	add := func(variable string) { dirs = append(dirs, filepath.SplitList(s.env(variable))...) }
	switch s.platform.os {
	case "windows":
		add("PATH")
		return dirs
	case "darwin":
		add("DYLD_LIBRARY_PATH")
		add("DYLD_FALLBACK_LIBRARY_PATH")
		return append(dirs, s.system("usr/local/lib", "opt/homebrew/lib", "usr/lib")...)
	}
	add("LD_LIBRARY_PATH")
	dirs = append(dirs, s.loaderConf(s.system("etc/ld.so.conf")[0], 0)...)
	triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[s.platform.arch]
	for _, dir := range []string{"usr/local/lib", "usr/lib", "lib", "usr/lib64", "lib64"} {
		if triple != "" && !strings.HasSuffix(dir, "64") {
			dirs = append(dirs, s.system(dir+"/"+triple)...)
		}
		dirs = append(dirs, s.system(dir)...)
	}
	return existing(dirs)
}

func (s *search) system(paths ...string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = filepath.Join(s.systemRoot, filepath.FromSlash(p))
	}
	return out
}

// loaderConf reads the folders of an ld.so.conf, with its includes.
func (s *search) loaderConf(path string, depth int) []string {
	f, err := os.Open(path)
	if err != nil || depth > 4 { // a file that includes itself ends here
		return nil
	}
	defer f.Close()
	var dirs []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(line)
		pattern, include := strings.CutPrefix(line, "include ")
		switch {
		case include:
			pattern = strings.TrimSpace(pattern)
			if filepath.IsAbs(pattern) {
				pattern = filepath.Join(s.systemRoot, pattern)
			} else {
				pattern = filepath.Join(filepath.Dir(path), pattern)
			}
			files, _ := filepath.Glob(pattern) // a bad pattern includes nothing
			for _, file := range files {
				dirs = append(dirs, s.loaderConf(file, depth+1)...)
			}
		case line != "":
			dirs = append(dirs, filepath.Join(s.systemRoot, line))
		}
	}
	return dirs
}

// existing keeps the folders that exist, each once: two names of one folder are one place.
func existing(dirs []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, dir := range dirs {
		real, err := filepath.EvalSymlinks(dir)
		if dir == "" || err != nil || seen[real] {
			continue
		}
		seen[real] = true
		out = append(out, dir)
	}
	return out
}
