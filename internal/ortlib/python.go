package ortlib

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pythonDirs guesses the folders of the package onnxruntime from where interpreters lie: no interpreter
// is started.
func (s *search) pythonDirs() []string {
	var prefixes []string
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if dir := s.env(variable); dir != "" {
			prefixes = append(prefixes, dir)
		}
	}
	for _, exe := range s.pythons() {
		prefixes = append(prefixes, s.prefixesOf(exe)...)
	}
	if home, err := s.home(); err == nil {
		prefixes = append(prefixes, filepath.Join(home, ".local"))
	}
	var dirs []string
	for _, prefix := range prefixes {
		for _, pattern := range []string{
			"lib/python3*/site-packages", "lib/python3*/dist-packages", "lib64/python3*/site-packages", "Lib/site-packages",
		} {
			found, _ := filepath.Glob(filepath.Join(prefix, filepath.FromSlash(pattern), "onnxruntime", "capi"))
			dirs = append(dirs, found...)
		}
	}
	return existing(dirs)
}

// pythons lists the interpreters on PATH.
func (s *search) pythons() []string {
	names := []string{"python3", "python"}
	if s.platform.os == "windows" {
		names = []string{"python.exe", "python3.exe"}
	}
	var found []string
	for _, dir := range filepath.SplitList(s.env("PATH")) {
		for _, name := range names {
			found = append(found, existing([]string{filepath.Join(dir, name)})...)
		}
	}
	return found
}

// prefixesOf lists the folders under which the packages of an interpreter may lie. A virtual
// environment's interpreter is a link to another one, whose packages it may see too.
func (s *search) prefixesOf(exe string) []string {
	bin := filepath.Dir(exe)
	if filepath.Base(bin) == "shims" { // pyenv: a script that picks one of the versions
		versions, _ := filepath.Glob(filepath.Join(filepath.Dir(bin), "versions", "*"))
		return versions
	}
	prefixes := []string{filepath.Dir(bin), bin} // the latter: Windows keeps python.exe at the top
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		prefixes = append(prefixes, filepath.Dir(filepath.Dir(real)))
	}
	return prefixes
}

// askedDirs is the last resort: it starts the first interpreter on PATH.
func (s *search) askedDirs() []string {
	exes := s.pythons()
	if len(exes) == 0 {
		return nil
	}
	var dirs []string
	for _, site := range s.askPython(exes[0]) {
		dirs = append(dirs, filepath.Join(site, "onnxruntime", "capi"))
	}
	return existing(dirs)
}

// askPython returns the interpreter's own list of package folders; nothing where it fails or hangs.
func askPython(exe string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-c", "import sys; print('\\n'.join(sys.path))")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(string(out), "\r", "")), "\n")
}
