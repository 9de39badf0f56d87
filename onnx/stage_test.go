package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// sample is a model with one tensor that is large enough to be moved out; its values follow from the seed.
func sample(t *testing.T, seed string) *onnx.Model {
	t.Helper()
	return onnxtest.Build(t, "input x f32[N,40]\nw = init f32[40,30] random("+seed+")\nb = init f32[30] random(2)\n"+
		"y = MatMul(x, w)\nz = Add(y, b)\noutput z f32[N,30]")
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func save(t *testing.T, m *onnx.Model, path string, o onnx.SaveOptions) {
	t.Helper()
	if err := onnx.Save(m, path, o); err != nil {
		t.Fatal(err)
	}
}

// holds wants the file under path to load as m.
func holds(t *testing.T, path string, m *onnx.Model) {
	t.Helper()
	got, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !onnx.Equal(got.Proto, m.Proto) {
		t.Errorf("%s holds another model:\n%s", path, onnxtest.Dump(got))
	}
}

func TestStage(t *testing.T) {
	dir := t.TempDir()
	path, m := filepath.Join(dir, "a.onnx"), sample(t, "1")
	s, err := onnx.Stage(m, path, onnx.SaveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(s.Path()) != dir || len(list(t, dir)) != 1 || s.Path() == path {
		t.Errorf("staged at %s among %v", s.Path(), list(t, dir))
	}
	holds(t, s.Path(), m)
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Discard() // does nothing any more
	if got := list(t, dir); len(got) != 1 || got[0] != "a.onnx" {
		t.Errorf("left: %v", got)
	}
	holds(t, path, m)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	for _, external := range []bool{false, true} {
		dir := t.TempDir()
		s, err := onnx.Stage(sample(t, "1"), filepath.Join(dir, "a.onnx"), onnx.SaveOptions{External: external})
		if err != nil {
			t.Fatal(err)
		}
		s.Discard()
		s.Discard()
		if got := list(t, dir); len(got) != 0 {
			t.Errorf("external %v: left %v", external, got)
		}
	}
}

func outputFault(t *testing.T, err error, code string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Kind != fault.Output || f.Code != code || f.File == "" || f.Hint == "" {
		t.Errorf("want %s, got %#v", code, f)
	}
}

func TestExistingOutputNeedsForce(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "a.onnx"), []byte("precious"))
	_, err := onnx.Stage(sample(t, "1"), path, onnx.SaveOptions{External: true})
	outputFault(t, err, "output_exists")
	if data, _ := os.ReadFile(path); string(data) != "precious" || len(list(t, dir)) != 1 {
		t.Fatalf("touched: %q, %v", data, list(t, dir))
	}
	save(t, sample(t, "1"), path, onnx.SaveOptions{Force: true})
	holds(t, path, sample(t, "1"))
}

// A file that appears between staging and committing is not overwritten either.
func TestCommitDoesNotOverwrite(t *testing.T) {
	for _, external := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.onnx")
		s, err := onnx.Stage(sample(t, "1"), path, onnx.SaveOptions{External: external})
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte("precious"))
		outputFault(t, s.Commit(), "output_exists")
		if data, _ := os.ReadFile(path); string(data) != "precious" || len(list(t, dir)) != 1 {
			t.Errorf("external %v: touched: %q, %v", external, data, list(t, dir))
		}
	}
}

func TestBadOutputPaths(t *testing.T) {
	dir := t.TempDir()
	outputFault(t, onnx.CheckOutput(dir, true), "output_is_folder")
	outputFault(t, onnx.CheckOutput(filepath.Join(dir, "none", "a.onnx"), false), "output_failed")
	_, err := onnx.Stage(sample(t, "1"), filepath.Join(dir, "none", "a.onnx"), onnx.SaveOptions{})
	outputFault(t, err, "output_failed")
	if err := onnx.CheckOutput(filepath.Join(dir, "a.onnx"), false); err != nil || len(list(t, dir)) != 0 {
		t.Errorf("%v, left %v", err, list(t, dir))
	}
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a.onnx")
	save(t, sample(t, "1"), path, onnx.SaveOptions{})
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	outputFault(t, onnx.CheckOutput(path, true), "not_writable")
	_, err := onnx.Stage(sample(t, "2"), path, onnx.SaveOptions{Force: true})
	outputFault(t, err, "not_writable")
	holds(t, path, sample(t, "1"))
}

var dataName = regexp.MustCompile(`^a-[0-9a-f]{16}\.onnx\.data$`)

// dataFile is the one data file in dir.
func dataFile(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	for _, name := range list(t, dir) {
		if strings.HasSuffix(name, ".data") {
			found = append(found, name)
		}
	}
	if len(found) != 1 || !dataName.MatchString(found[0]) {
		t.Fatalf("data files %v among %v", found, list(t, dir))
	}
	return found[0]
}

func TestSaveExternal(t *testing.T) {
	dir := t.TempDir()
	path, m := filepath.Join(dir, "a.onnx"), sample(t, "1")
	before, _ := m.Marshal()
	save(t, m, path, onnx.SaveOptions{External: true})
	if after, _ := m.Marshal(); !bytes.Equal(before, after) {
		t.Error("saving changed the model")
	}
	first := dataFile(t, dir)
	got, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !got.External || !onnx.Equal(got.Proto, m.Proto) {
		t.Error("another model came back")
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) > 2000 {
		t.Errorf("%d bytes in the model file, %v", len(data), err)
	}

	// The name follows from the contents alone.
	other := t.TempDir()
	save(t, sample(t, "1"), filepath.Join(other, "a.onnx"), onnx.SaveOptions{External: true})
	if again := dataFile(t, other); again != first {
		t.Errorf("equal contents in %s and %s", first, again)
	}
}

func TestLargeTensorsAreAligned(t *testing.T) {
	dir := t.TempDir()
	m := onnxtest.Build(t, "a = init f32[300] random(1)\nb = init f32[300] random(2)\ns = init f32[2]{1,2}")
	save(t, m, filepath.Join(dir, "a.onnx"), onnx.SaveOptions{External: true})
	holds(t, filepath.Join(dir, "a.onnx"), m)
	info, err := os.Stat(filepath.Join(dir, dataFile(t, dir)))
	if err != nil || info.Size() != 4096+1200 {
		t.Errorf("%d bytes of data, %v", info.Size(), err)
	}
}

func TestReplacingExternalModel(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.onnx")
	force := onnx.SaveOptions{External: true, Force: true}
	save(t, sample(t, "1"), path, force)
	old := dataFile(t, dir)

	// Staged and discarded: the old model is whole.
	s, err := onnx.Stage(sample(t, "3"), path, force)
	if err != nil {
		t.Fatal(err)
	}
	s.Discard()
	if dataFile(t, dir) != old {
		t.Error("the old data file is gone")
	}
	holds(t, path, sample(t, "1"))

	// Staged with the contents that the old model has, and discarded: the shared data file stays.
	if s, err = onnx.Stage(sample(t, "1"), path, force); err != nil {
		t.Fatal(err)
	}
	s.Discard()
	holds(t, path, sample(t, "1"))

	// Committed: the old data file goes.
	save(t, sample(t, "3"), path, force)
	if dataFile(t, dir) == old {
		t.Error("the old data file is still there")
	}
	holds(t, path, sample(t, "3"))

	// Replaced by one without a data file.
	save(t, sample(t, "4"), path, onnx.SaveOptions{Force: true})
	if got := list(t, dir); len(got) != 1 {
		t.Errorf("left %v", got)
	}
}

// Only data files that this package named are tidied up.
func TestForeignDataFileIsKept(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "a.onnx"), outside(t, "location", "weights.bin"))
	write(t, filepath.Join(dir, "weights.bin"), content[:8])
	save(t, sample(t, "1"), path, onnx.SaveOptions{Force: true})
	if got := list(t, dir); len(got) != 2 {
		t.Errorf("left %v", got)
	}
}
