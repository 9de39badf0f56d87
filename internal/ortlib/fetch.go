package ortlib

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Fetcher gets an archive with the library in it. The package's own start npm and pip, which know the
// user's proxies, mirrors and credentials; tests put others in their place.
type Fetcher struct {
	Name      string // what is run, for messages: "npm"
	Install   string // the command that installs it where it is missing
	Megabytes int    // how much is transferred
	// Available reports whether Fetch can be tried at all.
	Available func() bool
	// Fetch writes the archive into dir and returns its path. It ends when ctx does.
	Fetch func(ctx context.Context, dir string) (string, error)
	// Verify holds the archive against its known checksum; nil where there is none.
	Verify func(archive string) error
}

// defaultFetchers lists what can serve p, the one to be tried first in front.
func defaultFetchers(p platform) []Fetcher {
	fetchers := []Fetcher{npmFetcher()}
	if w, ok := wheels[p]; ok {
		fetchers = append(fetchers, pipFetcher(w))
	}
	return fetchers
}

func npmFetcher() Fetcher {
	return Fetcher{
		Name: "npm", Install: "apt-get install npm", Megabytes: npmMegabytes,
		Available: func() bool { return firstProgram("npm") != "" },
		Fetch: func(ctx context.Context, dir string) (string, error) {
			return runFetch(ctx, dir, "*.tgz", "npm", "pack", "onnxruntime-node@"+Version,
				"--ignore-scripts", "--pack-destination", dir, "--loglevel", "error")
		},
		Verify: func(archive string) error {
			return verify(archive, sha512.New(), base64.StdEncoding.EncodeToString, npmSHA512)
		},
	}
}

func pipFetcher(w wheel) Fetcher {
	pip := func() string { return firstProgram("pip3", "pip") }
	return Fetcher{
		Name: "pip", Install: "apt-get install python3-pip", Megabytes: w.megabytes,
		Available: func() bool { return pip() != "" },
		Fetch: func(ctx context.Context, dir string) (string, error) {
			// The platform is named, so that any version of Python gets the wheel whose checksum is known.
			return runFetch(ctx, dir, "*.whl", pip(), "download", "onnxruntime=="+Version, "--no-deps",
				"--only-binary=:all:", "--implementation", "cp", "--python-version", wheelPython, "--platform", w.tag,
				"--disable-pip-version-check", "--quiet", "--dest", dir)
		},
		Verify: func(archive string) error {
			return verify(archive, sha256.New(), hex.EncodeToString, w.sha256)
		},
	}
}

// firstProgram returns the first of the programs that is installed, "" where none is.
func firstProgram(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// runFetch runs a client in dir and returns the file that it has put there.
func runFetch(ctx context.Context, dir, pattern, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir // no project's settings, only the user's
	cmd.WaitDelay = 3 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	name := filepath.Base(program)
	if err != nil {
		return "", fault.New(fault.Runtime, "fetch_failed", "%s failed (%v): %s", name, err, tail(string(out)))
	}
	found, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(found) != 1 {
		return "", fault.New(fault.Runtime, "fetch_failed", "%s has left %d archives, one was expected", name, len(found))
	}
	return found[0], nil
}

// tail is the last lines of a program's output, where its errors stand.
func tail(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

func verify(archive string, h hash.Hash, encode func([]byte) string, want string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("the fetched archive: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("the fetched archive: %w", err)
	}
	if got := encode(h.Sum(nil)); got != want {
		return checksumError(filepath.Base(archive), "the archive", got)
	}
	return nil
}
