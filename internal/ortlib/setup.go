package ortlib

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Options says how Setup gets the library. The zero value uses one that is there already, else npm or pip.
type Options struct {
	// Library is the path of a library that the user has named, as for Locate.
	Library string
	// From is an archive (.tgz, .zip, .whl), a folder or a library to install from, with no network. The
	// CUDA provider is installed with it where it lies beside the library.
	From string
	// Fetchers replaces npm and pip.
	Fetchers []Fetcher
}

// Setup makes sure that there is a library and returns it. It needs no root: the library goes into the
// user's cache folder, or into $ONNX_ZIP_CACHE. log gets a line for each step; nil drops them.
//
// Errors are ctx's, of kind fault.Runtime (nothing can be fetched, or what was fetched is not what it
// should be) or of kind fault.Output (the cache cannot be written). None leaves anything half-written.
func Setup(ctx context.Context, o Options, log func(string)) (Library, error) {
	return setup(ctx, newSearch(), o, log)
}

func setup(ctx context.Context, s *search, o Options, log func(string)) (Library, error) {
	say := func(format string, args ...any) {
		if log != nil {
			log(fmt.Sprintf(format, args...))
		}
	}
	if o.From == "" {
		lib, err := s.locate(o.Library)
		if err == nil {
			say("there already: %v", lib)
			return lib, nil
		}
		if o.Library != "" || s.env(EnvLibrary) != "" {
			return Library{}, err // fetching another one would not make the named one work
		}
	}
	root, err := s.cacheRoot()
	if err != nil {
		return Library{}, fault.New(fault.Output, "output_failed", "%v", err).WithHint("set %s to a folder", EnvCache)
	}
	i := installer{root: root, platform: s.platform, limit: maxExtracted}
	var lib Library
	if o.From != "" {
		lib, err = i.install(ctx, o.From)
	} else {
		lib, err = i.fetch(ctx, o.Fetchers, say)
	}
	if err != nil {
		return Library{}, err
	}
	say("installed: %v", lib)
	return lib, nil
}

// fetch tries one fetcher after the other.
func (i installer) fetch(ctx context.Context, fetchers []Fetcher, say func(string, ...any)) (Library, error) {
	if fetchers == nil {
		fetchers = defaultFetchers(i.platform)
	}
	var failures []error
	var installs []string
	for _, f := range fetchers {
		if !f.Available() {
			say("%s is not installed; to install it: %s", f.Name, f.Install)
			failures = append(failures, fmt.Errorf("%s is not installed", f.Name))
			installs = append(installs, f.Install)
			continue
		}
		say("fetching ONNX Runtime %s with %s: %d MB", Version, f.Name, f.Megabytes)
		lib, err := i.fetchWith(ctx, f)
		if err == nil {
			return lib, nil
		}
		if ctx.Err() != nil {
			return Library{}, ctx.Err()
		}
		say("%s: %v", f.Name, err)
		failures = append(failures, fmt.Errorf("%s: %w", f.Name, err))
	}
	e := fault.New(fault.Runtime, "fetch_failed", "ONNX Runtime could not be fetched:\n%v", errors.Join(failures...)).
		WithHint("fetch an archive yourself and run `onnx-zip setup --from ARCHIVE`")
	if len(installs) == len(fetchers) {
		e.Code = "fetcher_missing"
		e.WithHint("run `%s`, then `onnx-zip setup`; or `onnx-zip setup --from ARCHIVE`", strings.Join(installs, "` or `"))
	}
	return Library{}, e
}

func (i installer) fetchWith(ctx context.Context, f Fetcher) (Library, error) {
	dir, err := os.MkdirTemp("", "onnx-zip-fetch-")
	if err != nil {
		return Library{}, i.outputError(err)
	}
	defer os.RemoveAll(dir)
	archive, err := f.Fetch(ctx, dir)
	if err != nil {
		return Library{}, err
	}
	if f.Verify != nil {
		if err := f.Verify(archive); err != nil {
			return Library{}, err
		}
		i.pinned = true
	}
	return i.install(ctx, archive)
}
