package ortlib

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

type file struct {
	name    string
	content []byte
}

func tgz(files ...file) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: "lib/libonnxruntime.so", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	for _, f := range files {
		w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Size: int64(len(f.content)), Mode: 0o644})
		w.Write(f.content)
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

func zipped(files ...file) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		if e, err := w.Create(f.name); err == nil {
			e.Write(f.content)
		}
	}
	w.Close()
	return b.Bytes()
}

var npmLike = []file{
	{"package/bin/napi-v6/linux/arm64/libonnxruntime.so.1", elfLibrary(elf.EM_AARCH64, "")},
	{"package/bin/napi-v6/linux/x64/libonnxruntime.so.1", good},
	{"package/bin/napi-v6/darwin/arm64/libonnxruntime.1.24.3.dylib", []byte("…")},
	{"package/README.md", []byte("text")},
}

var gpuWheel = []file{
	{"onnxruntime/capi/libonnxruntime_providers_cuda.so", elfLibrary(elf.EM_X86_64, "cuda")},
	{"onnxruntime/capi/libonnxruntime.so.1.24.4", good},
	{"onnxruntime/capi/libonnxruntime_providers_shared.so", elfLibrary(elf.EM_X86_64, "shared")},
	{"onnxruntime/capi/onnxruntime_pybind11_state.so", good},
}

// left lists the files below a folder.
func left(dir string) []string {
	var names []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	return names
}

func TestInstallFrom(t *testing.T) {
	const cache = "home/.cache/onnx-zip/onnxruntime"
	for _, c := range []struct {
		name string
		make func(m *machine) string
		want []string
	}{
		{"npm archive", func(m *machine) string { return m.put("a.tgz", tgz(npmLike...)) }, []string{"unknown/libonnxruntime.so.1"}},
		{"GPU wheel", func(m *machine) string { return m.put("a.whl", zipped(gpuWheel...)) }, []string{
			"1.24.4-gpu/libonnxruntime.so.1.24.4", "1.24.4-gpu/libonnxruntime_providers_cuda.so", "1.24.4-gpu/libonnxruntime_providers_shared.so"}},
		{"folder", func(m *machine) string {
			m.put("dir/sub/libonnxruntime.so.1.25.0", good)
			m.put("dir/other/libonnxruntime_providers_cuda.so", good) // belongs to another library
			return m.path("dir")
		}, []string{"1.25.0/libonnxruntime.so.1.25.0"}},
		{"library", func(m *machine) string {
			m.put("dir/libonnxruntime_providers_cuda.so", good)
			m.put("dir/libonnxruntime.so.1.30.0", good)
			return m.put("dir/libonnxruntime.so.1.26.0", good)
		}, []string{"1.26.0-gpu/libonnxruntime.so.1.26.0", "1.26.0-gpu/libonnxruntime_providers_cuda.so"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			lib, err := setup(context.Background(), m.search, Options{From: c.make(m)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := left(m.path(cache)); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			found, err := m.locate("")
			if err != nil || found != lib {
				t.Errorf("installed %v, found %v, %v", lib, found, err)
			}
		})
	}
}

func TestRefusalsOfArchives(t *testing.T) {
	damaged := tgz(npmLike...)
	for name, c := range map[string]struct {
		file    string
		content []byte
		code    string
	}{
		"nothing for us":    {"a.zip", zipped(file{"libonnxruntime.dylib", good}), codeMissing},
		"other CPU":         {"a.zip", zipped(npmLike[0]), codeOtherArch},
		"too old":           {"a.zip", zipped(file{"libonnxruntime.so.1.20.0", good}), codeTooOld},
		"no library inside": {"a.zip", zipped(file{"libonnxruntime.so", []byte("text")}), codeNoLibrary},
		"path upwards":      {"a.tgz", tgz(file{"../../libonnxruntime.so", good}), "archive_hostile"},
		"absolute path":     {"a.zip", zipped(file{"/tmp/libonnxruntime.so", good}), "archive_hostile"},
		"backslashes":       {"a.zip", zipped(file{`..\libonnxruntime.so`, good}), "archive_hostile"},
		"cut tar":           {"a.tgz", damaged[:len(damaged)-30], "archive_damaged"},
		"no tar":            {"a.tgz", []byte("text"), "archive_damaged"},
		"no zip":            {"a.whl", []byte("text"), "archive_damaged"},
		"another file":      {"a.txt", []byte("text"), codeMissing},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			_, err := setup(context.Background(), m.search, Options{From: m.put(c.file, c.content)}, nil)
			if e := wantFault(t, err, fault.Runtime, c.code); e.Hint == "" {
				t.Error("no hint")
			}
			if got := left(m.path("home")); len(got) > 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
	m := newMachine(t)
	_, err := setup(context.Background(), m.search, Options{From: m.path("none.tgz")}, nil)
	wantFault(t, err, fault.Runtime, "archive_unreadable")
}

func TestArchiveThatUnpacksToTooMuch(t *testing.T) {
	m := newMachine(t)
	i := installer{root: m.path("cache"), platform: m.platform, limit: int64(2*len(good)) - 1}
	_, err := i.install(context.Background(), m.put("a.zip", zipped(file{"a/libonnxruntime.so", good}, file{"b/libonnxruntime.so", good})))
	wantFault(t, err, fault.Runtime, "archive_hostile")
	i.limit++
	if _, err := i.install(context.Background(), m.path("a.zip")); err != nil {
		t.Error(err)
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	m := newMachine(t)
	const cache = "home/.cache/onnx-zip/onnxruntime/"
	killed, running := m.put(cache+".tmp-1/0/x", nil), m.put(cache+".tmp-2/0/x", nil)
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(m.path(cache+".tmp-1"), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if _, err := setup(context.Background(), m.search, Options{From: m.put("a.tgz", tgz(npmLike...))}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); err == nil {
		t.Error("an interrupted installation is still there")
	}
	if _, err := os.Stat(running); err != nil {
		t.Error("another process's work was removed:", err)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	m := newMachine(t)
	m.vars[EnvCache] = m.put("a file", nil)
	_, err := setup(context.Background(), m.search, Options{From: m.put("a.tgz", tgz(npmLike...))}, nil)
	wantFault(t, err, fault.Output, "output_failed")
	m = newMachine(t)
	m.userCache = func() (string, error) { return "", errors.New("$HOME is not defined") }
	_, err = setup(context.Background(), m.search, Options{From: m.put("a.tgz", tgz(npmLike...))}, nil)
	wantFault(t, err, fault.Output, "output_failed")
}

// fetcher serves an archive from memory.
func fetcher(name string, content []byte) Fetcher {
	return Fetcher{
		Name: name, Install: "install " + name, Megabytes: 7, Available: func() bool { return true },
		Fetch: func(_ context.Context, dir string) (string, error) {
			path := filepath.Join(dir, "a.tgz")
			return path, os.WriteFile(path, content, 0o644)
		},
	}
}

func TestFetching(t *testing.T) {
	missing := fetcher("first", nil)
	missing.Available = func() bool { return false }
	failing := fetcher("second", nil)
	failing.Fetch = func(context.Context, string) (string, error) { return "", errors.New("no route to host") }
	changed := fetcher("third", tgz(npmLike...))
	changed.Verify = func(archive string) error { return checksumError(archive, "the archive", "00") }
	unknown := fetcher("fourth", tgz(npmLike...))
	unknown.Verify = func(string) error { return nil } // but the library in it is not a known one
	m := newMachine(t)
	var lines []string
	log := func(line string) { lines = append(lines, line) }
	o := Options{Fetchers: []Fetcher{missing, failing, changed, unknown}}

	_, err := setup(context.Background(), m.search, o, log)
	e := wantFault(t, err, fault.Runtime, "fetch_failed")
	for _, want := range []string{"first is not installed", "no route to host", "the archive is not the one", "the library in it is not the one"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if lines[0] != "first is not installed; to install it: install first" || lines[1] != "fetching ONNX Runtime "+Version+" with second: 7 MB" {
		t.Errorf("%q", lines)
	}
	if got := left(m.path("home")); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}

	o.Fetchers = append(o.Fetchers, fetcher("fifth", tgz(npmLike...)))
	lib, err := setup(context.Background(), m.search, o, log)
	if err != nil || lib.Origin != "cache" {
		t.Fatal(lib, err)
	}
	lines = nil
	again, err := setup(context.Background(), m.search, Options{Fetchers: []Fetcher{failing}}, log)
	if err != nil || again != lib || !strings.HasPrefix(lines[0], "there already: ") {
		t.Error(again, err, lines)
	}
}

func TestNoFetcherInstalled(t *testing.T) {
	f := fetcher("npm", nil)
	f.Available = func() bool { return false }
	_, err := setup(context.Background(), newMachine(t).search, Options{Fetchers: []Fetcher{f, f}}, nil)
	if e := wantFault(t, err, fault.Runtime, "fetcher_missing"); !strings.Contains(e.Hint, "`install npm`") {
		t.Error(e.Hint)
	}
}

// Fetching a library would not make the one work that the user has named.
func TestSetupWithNamedLibrary(t *testing.T) {
	m := newMachine(t)
	_, err := setup(context.Background(), m.search, Options{Library: m.path("none"), Fetchers: []Fetcher{fetcher("f", tgz(npmLike...))}}, nil)
	wantFault(t, err, fault.Runtime, codeMissing)
}

func TestInterrupted(t *testing.T) {
	m := newMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	f := fetcher("f", tgz(npmLike...))
	fetch := f.Fetch
	f.Fetch = func(ctx context.Context, dir string) (string, error) {
		defer cancel()
		return fetch(ctx, dir)
	}
	_, err := setup(ctx, m.search, Options{Fetchers: []Fetcher{f}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := left(m.path("home")); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestParallelInstallations(t *testing.T) {
	m := newMachine(t)
	archives := []string{m.put("a.tgz", tgz(npmLike...)), m.put("b.tgz", tgz(file{"x/libonnxruntime.so.1", elfLibrary(elf.EM_X86_64, "another build")}))}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := setup(context.Background(), m.search, Options{From: archives[i%2]}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := left(m.path("home/.cache/onnx-zip/onnxruntime")); !slices.Equal(got, []string{"unknown/libonnxruntime.so.1"}) {
		t.Errorf("%v", got)
	}
}

// A damaged installation under the final name is replaced.
func TestDamagedInstallationIsReplaced(t *testing.T) {
	m := newMachine(t)
	broken := m.put("home/.cache/onnx-zip/onnxruntime/unknown/libonnxruntime.so.1", good[:10])
	lib, err := setup(context.Background(), m.search, Options{From: m.put("a.tgz", tgz(npmLike...))}, nil)
	if err != nil || lib.Path != broken {
		t.Error(lib, err)
	}
	if content, err := os.ReadFile(broken); err != nil || !bytes.Equal(content, good) {
		t.Error("still damaged", err)
	}
}

// The clients are replaced by scripts: what they are told, and how their failures are reported.
func TestClients(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts are for sh")
	}
	for _, c := range []struct{ name, script, want string }{
		{"npm", "exit 1", "npm failed (exit status 1)"},
		{"npm", "echo no such package >&2; exit 1", "no such package"},
		{"npm", "true", "has left 0 archives"},
		{"npm", "touch x.tgz", "the archive is not the one"},
		{"npm", `case "$*" in *onnxruntime-node@` + Version + `*--ignore-scripts*) exit 3;; esac`, "exit status 3"},
		{"pip3", `case "$*" in *onnxruntime==` + Version + `*--no-deps*--only-binary=:all:*) exit 4;; esac`, "exit status 4"},
		{"pip3", "touch x.whl", "the archive is not the one"},
	} {
		t.Run(fmt.Sprint(c.name, c.script), func(t *testing.T) {
			m := newMachine(t)
			m.put("bin/"+c.name, []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+c.script+"\n"))
			t.Setenv("PATH", m.path("bin"))
			_, err := setup(context.Background(), m.search, Options{}, nil)
			if wantFault(t, err, fault.Runtime, "fetch_failed"); !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: no %q", err, c.want)
			}
		})
	}
}

func TestEveryFetchedPlatformIsPinned(t *testing.T) {
	for p := range wheels {
		if len(libraries[p]) != 2 {
			t.Errorf("%v: %d known libraries, want npm's and the wheel's", p, len(libraries[p]))
		}
	}
}
