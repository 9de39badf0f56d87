package ortlib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"
)

// image is what the header of a shared library says.
type image struct {
	os      string // as GOOS
	archs   []string
	version string // "" where the file does not tell
}

var errNoLibrary = errors.New("is not a shared library")

// readImage reads the header of an ELF, Mach-O or PE file. Damaged files give errNoLibrary.
func readImage(path string) (image, error) {
	f, err := os.Open(path)
	if err != nil {
		return image{}, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return image{}, errNoLibrary
	}
	switch {
	case string(magic[:]) == elf.ELFMAG:
		return readELF(f)
	case string(magic[:2]) == "MZ":
		return readPE(f)
	}
	return readMachO(f)
}

var elfArchs = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x",
}

func readELF(r io.ReaderAt) (image, error) {
	f, err := elf.NewFile(r)
	if err != nil || f.Type != elf.ET_DYN {
		return image{}, errNoLibrary
	}
	arch, ok := elfArchs[f.Machine]
	if !ok {
		arch = f.Machine.String()
	}
	img := image{os: "linux", archs: []string{arch}}
	// Its symbols carry the release: VERS_1.24.3. A library without versioned symbols is no error.
	versions, _ := f.DynamicVersions()
	for _, v := range versions {
		if number, ok := strings.CutPrefix(v.Name, "VERS_"); ok {
			img.version = versionIn(number)
		}
	}
	return img, nil
}

var machoArchs = map[macho.Cpu]string{
	macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64", macho.Cpu386: "386", macho.CpuArm: "arm",
}

func readMachO(r io.ReaderAt) (image, error) {
	img := image{os: "darwin"}
	if fat, err := macho.NewFatFile(r); err == nil {
		for _, a := range fat.Arches {
			img.archs = append(img.archs, machoArch(a.Cpu))
			img.version = dylibVersion(a.File)
		}
		return img, nil
	}
	f, err := macho.NewFile(r)
	if err != nil || f.Type != macho.TypeDylib {
		return image{}, errNoLibrary
	}
	img.archs, img.version = []string{machoArch(f.Cpu)}, dylibVersion(f)
	return img, nil
}

func machoArch(cpu macho.Cpu) string {
	if arch, ok := machoArchs[cpu]; ok {
		return arch
	}
	return cpu.String()
}

// dylibVersion reads current_version of LC_ID_DYLIB: 16, 8 and 8 bits.
func dylibVersion(f *macho.File) string {
	const idDylib, versionAt = 0xd, 16
	for _, load := range f.Loads {
		raw := load.Raw()
		if len(raw) < versionAt+4 || f.ByteOrder.Uint32(raw) != idDylib {
			continue
		}
		v := f.ByteOrder.Uint32(raw[versionAt:])
		return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff)
	}
	return ""
}

var peArchs = map[uint16]string{
	pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_I386: "386",
}

func readPE(r io.ReaderAt) (image, error) {
	f, err := pe.NewFile(r)
	if err != nil || f.Characteristics&pe.IMAGE_FILE_DLL == 0 {
		return image{}, errNoLibrary
	}
	arch, ok := peArchs[f.Machine]
	if !ok {
		arch = fmt.Sprintf("machine %#x", f.Machine)
	}
	img := image{os: "windows", archs: []string{arch}}
	if s := f.Section(".rsrc"); s != nil {
		if data, err := s.Data(); err == nil {
			img.version = resourceVersion(data)
		}
	}
	return img, nil
}

// resourceVersion finds the string "ProductVersion" of a version resource. It is UTF-16, ended and
// padded to four bytes by zeros, then comes the value.
func resourceVersion(rsrc []byte) string {
	var key []byte
	for _, c := range utf16.Encode([]rune("ProductVersion")) {
		key = binary.LittleEndian.AppendUint16(key, c)
	}
	_, value, ok := bytes.Cut(rsrc, key)
	if !ok {
		return ""
	}
	value = bytes.TrimLeft(value[:min(len(value), 64)], "\x00")
	return versionIn(strings.ReplaceAll(string(value), "\x00", ""))
}
