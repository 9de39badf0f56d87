package ortlib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// machine is a machine of its own in a temporary folder: nothing of the real one is seen.
type machine struct {
	t    *testing.T
	root string
	vars map[string]string
	*search
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, root: t.TempDir(), vars: map[string]string{}}
	m.search = &search{
		platform: platform{"linux", "amd64"}, systemRoot: m.root,
		env:        func(name string) string { return m.vars[name] },
		executable: func() (string, error) { return m.path("opt/bin/onnx-zip"), nil },
		userCache:  func() (string, error) { return m.path("home/.cache"), nil },
		home:       func() (string, error) { return m.path("home"), nil },
		askPython:  func(string) []string { return nil },
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.root, filepath.FromSlash(name)) }

// put writes a file and returns its path.
func (m *machine) put(name string, content []byte) string {
	m.t.Helper()
	path := m.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		m.t.Fatal(err)
	}
	return path
}

func encode(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		if err := errors.Join(binary.Write(&b, binary.LittleEndian, p)); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// elfLibrary is the header of a shared library; content follows it, to tell libraries apart.
func elfLibrary(machine elf.Machine, content string) []byte {
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
	}
	return append(encode(header), content...)
}

var good = elfLibrary(elf.EM_X86_64, "")

// dylib is a Mach-O library that states its version.
func dylib(cpu macho.Cpu, version uint32) []byte {
	const idDylib, size = 0xd, 32
	load := []uint32{idDylib, size, 24, 0, version, 0, 0, 0}
	header := macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, Type: macho.TypeDylib, Ncmd: 1, Cmdsz: size}
	return encode(header, uint32(0), load)
}

// dll is a PE library whose only section holds a version resource.
func dll(arch uint16, version string) []byte {
	rsrc := utf16Bytes("ProductVersion\x00\x00" + version + "\x00")
	var dos [0x40]byte
	dos[0], dos[1], dos[0x3c] = 'M', 'Z', 0x40
	header := pe.FileHeader{Machine: arch, NumberOfSections: 1, Characteristics: pe.IMAGE_FILE_DLL}
	section := pe.SectionHeader32{SizeOfRawData: uint32(len(rsrc)), PointerToRawData: 0x80}
	copy(section.Name[:], ".rsrc")
	file := encode(dos, [4]byte{'P', 'E'}, header, section)
	return append(append(file, make([]byte, 0x80-len(file))...), rsrc...)
}

func utf16Bytes(s string) []byte {
	var out []byte
	for _, c := range s {
		out = append(out, byte(c), 0)
	}
	return out
}
