package ortlib

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

func wantFault(t *testing.T, err error, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	e := fault.As(err)
	if e.Kind != kind || e.Code != code {
		t.Fatalf("kind %d, code %q, want %d, %q: %v", e.Kind, e.Code, kind, code, err)
	}
	return e
}

// Each place is better than those after it.
func TestSearchOrder(t *testing.T) {
	m := newMachine(t)
	m.vars["LD_LIBRARY_PATH"] = m.path("ld")
	m.vars["PATH"] = m.path("usr/bin")
	m.put("usr/bin/python3", nil)
	m.askPython = func(string) []string { return []string{m.path("asked/site")} }
	m.put("etc/ld.so.conf", []byte("# comment\ninclude ld.so.conf.d/*.conf\n"))
	m.put("etc/ld.so.conf.d/a.conf", []byte("/opt/conf/lib # why\ninclude /etc/ld.so.conf\n"))
	flag := m.put("flag/libonnxruntime.so", good)
	steps := []struct{ origin, path string }{
		{"Python (asked)", m.put("asked/site/onnxruntime/capi/libonnxruntime.so.1.24.3", good)},
		{"Python", m.put("home/.local/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.24.3", good)},
		{"Python", m.put("usr/lib/python3/dist-packages/onnxruntime/capi/libonnxruntime.so.1.24.3", good)},
		{"loader's path", m.put("usr/lib/x86_64-linux-gnu/libonnxruntime.so.1", good)},
		{"loader's path", m.put("opt/conf/lib/libonnxruntime.so.1", good)},
		{"loader's path", m.put("ld/libonnxruntime.so", good)},
		{"cache", m.put("home/.cache/onnx-zip/onnxruntime/1.24.3/libonnxruntime.so.1", good)},
		{"cache", m.put("home/.cache/onnx-zip/onnxruntime/1.30.0/libonnxruntime.so.1.30.0", good)},
		{"cache", m.put("home/.cache/onnx-zip/onnxruntime/1.24.4-gpu/libonnxruntime.so.1.24.4", good)},
		{"beside the program", m.put("opt/bin/lib/libonnxruntime.so.1.25.0", good)},
		{"beside the program", m.put("opt/bin/libonnxruntime.so.1.25.0", good)},
		{EnvLibrary, m.put("named/libonnxruntime.so.1.26.0", good)},
		{"flag", flag},
	}
	for _, s := range steps {
		if err := os.Rename(s.path, s.path+".later"); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range steps {
		if err := os.Rename(s.path+".later", s.path); err != nil {
			t.Fatal(err)
		}
		explicit := ""
		switch s.origin {
		case EnvLibrary:
			m.vars[EnvLibrary] = filepath.Dir(s.path) // a folder will do
		case "flag":
			explicit = flag
		}
		lib, err := m.locate(explicit)
		if err != nil || lib.Path != s.path || lib.Origin != s.origin {
			t.Errorf("%v %v, want %s (%s)", lib, err, s.path, s.origin)
		}
	}
}

func TestCacheElsewhere(t *testing.T) {
	m := newMachine(t)
	m.vars[EnvCache] = m.path("elsewhere")
	want := m.put("elsewhere/onnxruntime/1.24.3/libonnxruntime.so.1", good)
	m.put("elsewhere/onnxruntime/.tmp-1/libonnxruntime.so.1.99", good) // unfinished
	if lib, err := m.locate(""); err != nil || lib.Path != want {
		t.Error(lib, err)
	}
}

func TestVirtualEnvironments(t *testing.T) {
	for name, setUp := range map[string]func(*machine) string{
		"VIRTUAL_ENV": func(m *machine) string {
			m.vars["VIRTUAL_ENV"] = m.path("venv")
			return "venv/lib/python3.11/site-packages"
		},
		"CONDA_PREFIX": func(m *machine) string {
			m.vars["CONDA_PREFIX"] = m.path("conda")
			return "conda/lib/python3.11/site-packages"
		},
		"pyenv": func(m *machine) string {
			m.vars["PATH"] = m.path("home/.pyenv/shims")
			m.put("home/.pyenv/shims/python3", nil)
			return "home/.pyenv/versions/3.11.7/lib/python3.11/site-packages"
		},
		"a link to another one": func(m *machine) string {
			m.vars["PATH"] = m.path("bin")
			if err := errors.Join(os.MkdirAll(m.path("bin"), 0o755),
				os.Symlink(m.put("opt/python/bin/python3.13", nil), m.path("bin/python3"))); err != nil {
				m.t.Skip(err)
			}
			return "opt/python/lib/python3.13/site-packages"
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			want := m.put(setUp(m)+"/onnxruntime/capi/libonnxruntime.so.1.24.3", good)
			if lib, err := m.locate(""); err != nil || lib.Path != want || lib.Origin != "Python" {
				t.Error(lib, err)
			}
		})
	}
}

func TestNothingFoundListsEveryPlace(t *testing.T) {
	m := newMachine(t)
	old := m.put("usr/lib/libonnxruntime.so.1.19.2", good)
	other := m.put("usr/local/lib/libonnxruntime.so.1.24.3", elfLibrary(elf.EM_AARCH64, ""))
	text := m.put("opt/bin/libonnxruntime.so", []byte("a script"))
	m.userCache = func() (string, error) { return "", errors.New("$HOME is not defined") }
	_, err := m.locate("")
	e := wantFault(t, err, fault.Runtime, codeNoLibrary) // the first file that was refused
	var list *SearchError
	if !errors.As(err, &list) || !strings.Contains(e.Hint, "onnx-zip setup") {
		t.Fatal(err, e.Hint)
	}
	for _, want := range []Tried{
		{"flag", "-", "not given"},
		{EnvLibrary, "-", "not set"},
		{"beside the program", text, "is not a shared library"},
		{"cache", "-", "no cache folder: $HOME is not defined"},
		{"loader's path", other, "is for linux/arm64, this is linux/amd64"},
		{"loader's path", old, "is version 1.19.2, 1.24 or newer is needed"},
		{"Python", "-", "no library there"},
	} {
		found := false
		for _, got := range list.Tried {
			found = found || got == want
		}
		if !found || !strings.Contains(err.Error(), want.Where+": "+want.Reason) {
			t.Errorf("no %v in\n%v", want, err)
		}
	}
}

func TestRefusalsOfNamedLibraries(t *testing.T) {
	m := newMachine(t)
	m.put("usr/lib/libonnxruntime.so.1.24.3", good) // would do, but was not asked for
	for name, c := range map[string]struct{ path, code, words string }{
		"missing":           {m.path("none.so"), codeMissing, "no such file"},
		"empty":             {m.put("e/libonnxruntime.so", nil), codeNoLibrary, "not a shared library"},
		"text":              {m.put("t/libonnxruntime.so", []byte("#!/bin/sh\n")), codeNoLibrary, "not a shared library"},
		"damaged":           {m.put("d/libonnxruntime.so", good[:20]), codeNoLibrary, "not a shared library"},
		"a program":         {m.put("p/libonnxruntime.so", program()), codeNoLibrary, "not a shared library"},
		"folder without it": {m.path("usr"), codeMissing, "no library in it"},
		"other CPU":         {m.put("a/libonnxruntime.so", elfLibrary(elf.EM_AARCH64, "")), codeOtherArch, "linux/arm64"},
		"unknown CPU":       {m.put("u/libonnxruntime.so", elfLibrary(elf.EM_SPARCV9, "")), codeOtherArch, "EM_SPARCV9"},
		"macOS":             {m.put("m/libonnxruntime.dylib", dylib(macho.CpuArm64, 0x11803)), codeOtherArch, "darwin/arm64"},
		"Windows":           {m.put("w/onnxruntime.dll", dll(pe.IMAGE_FILE_MACHINE_AMD64, "1.24.3")), codeOtherArch, "windows/amd64"},
		"too old":           {m.put("o/libonnxruntime.so.1.23.9", good), codeTooOld, "1.23.9"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.locate(c.path)
			if e := wantFault(t, err, fault.Runtime, c.code); !strings.Contains(err.Error(), c.words) || e.File != c.path {
				t.Errorf("%v: no %q", err, c.words)
			}
			m.vars[EnvLibrary] = c.path
			defer delete(m.vars, EnvLibrary)
			_, err = m.locate("")
			wantFault(t, err, fault.Runtime, c.code)
		})
	}
}

func program() []byte {
	p := elfLibrary(elf.EM_X86_64, "")
	p[16] = byte(elf.ET_EXEC)
	return p
}

func TestOtherSystems(t *testing.T) {
	for _, c := range []struct {
		p       platform
		name    string
		content []byte
		version string
	}{
		{platform{"darwin", "arm64"}, "libonnxruntime.dylib", dylib(macho.CpuArm64, 0x11803), "1.24.3"},
		{platform{"darwin", "amd64"}, "libonnxruntime.dylib", dylib(macho.CpuAmd64, 0x11a00), "1.26.0"},
		{platform{"windows", "amd64"}, "onnxruntime.dll", dll(pe.IMAGE_FILE_MACHINE_AMD64, "1.24.20260304.5"), "1.24.20260304.5"},
		{platform{"windows", "arm64"}, "onnxruntime.dll", dll(pe.IMAGE_FILE_MACHINE_ARM64, "1.25"), "1.25"},
		{platform{"linux", "arm64"}, "libonnxruntime.so.1.24.3", elfLibrary(elf.EM_AARCH64, ""), "1.24.3"},
		{platform{"linux", "arm64"}, "libonnxruntime.so.1", elfLibrary(elf.EM_AARCH64, ""), ""},
	} {
		t.Run(c.p.os+c.p.arch+c.name, func(t *testing.T) {
			m := newMachine(t)
			m.platform = c.p
			m.put("opt/bin/"+c.name, c.content)
			lib, err := m.locate("")
			if err != nil || lib.Version != c.version {
				t.Errorf("%v %v, want %s", lib, err, c.version)
			}
		})
	}
}

func TestCUDAProvider(t *testing.T) {
	m := newMachine(t)
	path := m.put("lib/libonnxruntime.so.1.24.4", good)
	if lib, err := m.locate(path); err != nil || lib.HasCUDA || lib.CUDADir != m.path("lib") {
		t.Errorf("%+v %v", lib, err)
	}
	m.put("lib/libonnxruntime_providers_cuda.so", good)
	if lib, err := m.locate(path); err != nil || !lib.HasCUDA {
		t.Errorf("%+v %v", lib, err)
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.9", "1.24", true}, {"1.24", "1.24.0", false}, {"1.24.3", "1.24", false}, {"1.24", "1.24.3", true},
		{"2.0", "1.24", false}, {"", "1.0", true}, {"1.99999999999999999999", "1.24", true},
	} {
		if got := olderThan(c.a, c.b); got != c.want {
			t.Errorf("%q older than %q: %v", c.a, c.b, got)
		}
	}
}

// Whatever the bytes are, reading them ends.
func FuzzInspect(f *testing.F) {
	for _, b := range [][]byte{good, dylib(macho.CpuArm64, 0x11803), dll(pe.IMAGE_FILE_MACHINE_AMD64, "1.24.3"), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "libonnxruntime.so")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		inspect(path, platform{"linux", "amd64"})
	})
}
