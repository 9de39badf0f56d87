package onnx

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// SaveOptions says how a model is written. The zero value writes one file and overwrites nothing.
type SaveOptions struct {
	Force    bool // replace an existing file
	External bool // large tensors go into a data file beside the model; models near 2 GB do so by themselves
}

// maxInline is the size from which a model cannot be one protobuf message any more (2 GiB less some room).
const maxInline = 2<<30 - 64<<20

// Staged is a model that is written in full under a temporary name beside its final one. Load it back,
// verify it, then Commit or Discard it.
type Staged struct {
	final, temp string
	data        string // the data file's path, "" where there is none
	dataIsNew   bool
	force       bool
	weights     map[string][]byte // what was staged
}

// CheckOutput refuses an output path before any work is done: one that exists (without force), or
// whose folder is missing or not writable.
func CheckOutput(path string, force bool) error {
	if info, err := os.Stat(path); err == nil {
		if info.IsDir() {
			return fault.New(fault.Output, "output_is_folder", "is a folder").InFile(path).WithHint("name a file")
		}
		if !force {
			return existsError(path)
		}
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".onnx-zip-*.tmp")
	if err != nil {
		return outputError(path, err)
	}
	probe.Close()
	return os.Remove(probe.Name())
}

func existsError(path string) error {
	return fault.New(fault.Output, "output_exists", "exists already").InFile(path).
		WithHint("choose another name, or overwrite it with --force")
}

func outputError(path string, err error) error {
	e := fault.Wrap(fault.Output, "output_failed", err, "cannot be written").InFile(path)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		e.Err = pe.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		e.Code, e.Hint = "disk_full", "free some space, or write elsewhere"
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "create the folder first"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Code, e.Hint = "not_writable", "choose a folder that you may write to"
	}
	return e
}

// Stage writes m in full beside path, under a temporary name. Nothing is visible under path before Commit.
func Stage(m *Model, path string, o SaveOptions) (*Staged, error) {
	if err := CheckOutput(path, o.Force); err != nil {
		return nil, err
	}
	s := &Staged{final: path, force: o.Force, weights: map[string][]byte{}}
	for _, t := range m.Graph().GetInitializer() {
		s.weights[t.GetName()] = t.GetRawData()
	}
	dir := filepath.Dir(path)
	if o.External || m.Bytes() > maxInline {
		stem := strings.TrimSuffix(filepath.Base(path), ".onnx")
		out, name, err := m.externalize(dir, stem)
		if err != nil {
			return nil, err
		}
		m, s.data, s.dataIsNew = out, filepath.Join(dir, name), true
	}
	tmp, err := os.CreateTemp(dir, ".onnx-zip-*.onnx.tmp")
	if err != nil {
		s.Discard()
		return nil, outputError(path, err)
	}
	s.temp = tmp.Name()
	if err = m.encode(tmp); err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(s.temp, 0o644)
	}
	if err != nil {
		s.Discard()
		var f *fault.Error
		if errors.As(err, &f) { // the model is to blame, not the file
			return nil, err
		}
		return nil, outputError(path, err)
	}
	return s, nil
}

// Bytes is about the model's size: that of its tensors.
func (m *Model) Bytes() int64 {
	var n int64
	for _, t := range m.Graph().GetInitializer() {
		n += int64(len(t.GetRawData()))
	}
	return n
}

// Path is the temporary file, to be loaded and verified.
func (s *Staged) Path() string { return s.temp }

// Load reads what was staged back, like the function Load. Weights whose bytes the file has as they were staged share them:
// verifying a model takes no memory for a second copy of it.
func (s *Staged) Load() (*Model, error) {
	m, err := load(s.temp, s.weights)
	if err != nil {
		return nil, err
	}
	for _, t := range m.Graph().GetInitializer() {
		if known := s.weights[t.GetName()]; t.RawData != nil && bytes.Equal(t.RawData, known) {
			t.RawData = known
		}
	}
	return m, nil
}

// Commit gives the file its final name and removes the data file of a model that it replaces.
func (s *Staged) Commit() error {
	old := oldData(s.final)
	if s.force {
		if err := os.Rename(s.temp, s.final); err != nil {
			s.Discard()
			return outputError(s.final, err)
		}
	} else if err := linkNew(s.temp, s.final); err != nil {
		s.Discard()
		return err
	}
	s.temp = ""
	syncDir(filepath.Dir(s.final))
	if old != "" && old != s.data {
		os.Remove(old) // the new model does not need it; failing to tidy up is no failure
	}
	return nil
}

// linkNew moves temp to final unless final exists, without a moment in which it could overwrite it.
func linkNew(temp, final string) error {
	err := os.Link(temp, final)
	switch {
	case err == nil:
		return os.Remove(temp)
	case errors.Is(err, fs.ErrExist):
		return existsError(final)
	}
	// A file system without hard links: look, then rename.
	if _, err := os.Lstat(final); err == nil {
		return existsError(final)
	}
	if err := os.Rename(temp, final); err != nil {
		return outputError(final, err)
	}
	return nil
}

// Discard removes what Stage wrote. It does nothing after Commit.
func (s *Staged) Discard() {
	if s.temp != "" {
		os.Remove(s.temp)
	}
	if s.dataIsNew && oldData(s.final) != s.data {
		os.Remove(s.data)
	}
	s.temp, s.dataIsNew = "", false
}

var ourData = regexp.MustCompile(`-[0-9a-f]{16}\.onnx\.data$`)

// oldData is the path of the data file that the model under path refers to, if we wrote it.
func oldData(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	m, err := Parse(data, path)
	if err != nil {
		return ""
	}
	for _, t := range m.Graph().GetInitializer() {
		for _, kv := range t.GetExternalData() {
			name := kv.GetValue()
			if kv.GetKey() == "location" && ourData.MatchString(name) && filepath.Base(name) == name {
				return filepath.Join(filepath.Dir(path), name)
			}
		}
	}
	return ""
}

// Save is Stage and Commit in one, for files that need no verification.
func Save(m *Model, path string, o SaveOptions) error {
	s, err := Stage(m, path, o)
	if err != nil {
		return err
	}
	return s.Commit()
}

func syncAndRename(tmp *os.File, final string) error {
	if err := tmp.Sync(); err != nil {
		return outputError(final, err)
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return outputError(final, err)
	}
	if err := os.Rename(tmp.Name(), final); err != nil {
		return outputError(final, err)
	}
	return nil
}

func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
