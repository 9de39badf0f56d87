//go:build cgo

package ort_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
)

// A process loads one library only, so that failures to load need processes of their own: the test binary
// started again with this variable.
const helperVariable = "ONNX_ZIP_TEST_OPEN"

func TestMain(m *testing.M) {
	path := os.Getenv(helperVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	_, err := ort.Open(ort.Options{Library: path, Device: "cpu"})
	fmt.Println(fault.As(err).Kind, fault.As(err).Code, err)
	_, err = ort.Open(ort.Options{Device: "cpu"}) // a failure must not spoil the next attempt
	fmt.Println("then:", err)
}

// openElsewhere opens a library in another process and returns what that printed.
func openElsewhere(t *testing.T, library string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperVariable+"="+library)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// fakeLibrary is a header without a library behind it.
func fakeLibrary(t *testing.T, name string, machine elf.Machine) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("makes ELF files")
	}
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
	}
	var file bytes.Buffer
	if err := binary.Write(&file, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, file.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func thisMachine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

func TestLibrariesThatDoNotLoad(t *testing.T) {
	orttest.Engine(t)
	text := filepath.Join(t.TempDir(), "libonnxruntime.so.1")
	if err := os.WriteFile(text, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"missing":      {"/no/such/libonnxruntime.so", "6 runtime_missing"},
		"text":         {text, "6 runtime_not_a_library"},
		"only header":  {fakeLibrary(t, "libonnxruntime.so.1.24.3", thisMachine()), "6 runtime_unusable"},
		"too old":      {fakeLibrary(t, "libonnxruntime.so.1.19.2", thisMachine()), "6 runtime_too_old"},
		"other CPU":    {fakeLibrary(t, "libonnxruntime.so.1.24.3", elf.EM_S390), "6 runtime_other_architecture"},
		"no such name": {t.TempDir(), "6 runtime_"},
	} {
		t.Run(name, func(t *testing.T) {
			out := openElsewhere(t, c.path)
			if !strings.HasPrefix(out, c.want) || !strings.Contains(out, "then: <nil>") {
				t.Errorf("%s, want %s", out, c.want)
			}
		})
	}
}

func TestOneLibraryPerProcess(t *testing.T) {
	orttest.Engine(t)
	_, err := ort.Open(ort.Options{Library: fakeLibrary(t, "libonnxruntime.so.1.24.3", thisMachine()), Device: "cpu"})
	wantFault(t, err, fault.Runtime, "runtime_already_loaded")
	e, err := ort.Open(ort.Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	// The same library under its own name, or under another name of the same file, is fine.
	link := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.Symlink(e.Library().Path, link); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{e.Library().Path, link} {
		if _, err := ort.Open(ort.Options{Library: path, Device: "cpu", Verbose: true}); err != nil {
			t.Error(err)
		}
	}
}

func TestDevices(t *testing.T) {
	orttest.Engine(t)
	for _, d := range []string{"gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"} {
		_, err := ort.Open(ort.Options{Device: d})
		wantFault(t, err, fault.Usage, "unknown_device")
	}
	for _, d := range []string{"", "auto"} {
		e, err := ort.Open(ort.Options{Device: d})
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), "CUDA:0") && e.Fallback() != "" {
			t.Errorf("%s, and yet %s", e.Name(), e.Fallback())
		}
	}
}

func TestCUDA(t *testing.T) {
	report := ort.Doctor(context.Background(), ort.Options{})
	if report.Err != nil || report.CPUs < 1 || report.API != ort.APIVersion || !slices.Contains(report.Providers, "CPU") {
		t.Fatalf("%+v", report)
	}
	works := slices.Contains(report.Providers, "CUDA")
	if works != (report.NoCUDA == "") {
		t.Errorf("providers %v, but %q", report.Providers, report.NoCUDA)
	}
	e, err := ort.Open(ort.Options{Device: "cuda:0"})
	if works {
		if err != nil || !strings.HasSuffix(e.Name(), "CUDA:0") {
			t.Error(e, err)
		}
		return
	}
	refused := wantFault(t, err, fault.Runtime, "cuda_missing")
	if !strings.Contains(err.Error(), filepath.Dir(report.Library.Path)) || refused.Hint == "" {
		t.Errorf("%v does not say where it looked", err)
	}
}

func TestDoctorWithoutLibrary(t *testing.T) {
	report := ort.Doctor(context.Background(), ort.Options{Library: filepath.Join(t.TempDir(), "none")})
	wantFault(t, report.Err, fault.Runtime, "runtime_missing")
}

// What the header says must be what the loaded library says.
func TestVersionIsReadRight(t *testing.T) {
	e, err := ort.Open(ort.Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	located, err := ortlib.Locate(e.Library().Path)
	if err != nil || located.Version != e.Library().Version {
		t.Errorf("header %q, library %q, %v", located.Version, e.Library().Version, err)
	}
}
