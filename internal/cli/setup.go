package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/spf13/cobra"
)

func (a *app) setupCommand() *cobra.Command {
	var from, library string
	var force bool
	cmd := &cobra.Command{
		Use: "setup", Short: "Get ONNX Runtime, unless it is there already",
		Long: `Takes the first way that works: a fitting library that is there already, npm,
pip, or --from. What is fetched is held against its known checksum. No root is
needed: the library goes into the user's cache folder ($ONNX_ZIP_CACHE).`,
		Example: "  onnx-zip setup\n  onnx-zip setup --from onnxruntime-linux-x64-1.24.3.tgz",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			install := ortlib.Setup
			if force && from == "" {
				install = setAside(install)
			}
			lib, err := install(cmd.Context(), ortlib.Options{From: from, Library: library}, func(line string) { a.info("%s", line) })
			if err != nil {
				return err
			}
			a.doc.Result = libraryInfo{lib.Path, lib.Origin, lib.Version, lib.HasCUDA}
			a.printf("%v\n", lib)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`PATH`: install from an archive (.tgz, .zip, .whl), a folder or a library; needs no network")
	cmd.Flags().BoolVar(&force, "force", false, "fetch again what setup fetched before")
	cmd.Flags().StringVar(&library, "onnxruntime", "", "`LIBRARY`: use this one if it works")
	return cmd
}

type setup func(context.Context, ortlib.Options, func(string)) (ortlib.Library, error)

// setAside makes a setup that does not see what was installed before, and puts it back unless that was
// replaced.
func setAside(install setup) setup {
	return func(ctx context.Context, o ortlib.Options, log func(string)) (ortlib.Library, error) {
		cache := cacheFolder()
		aside := filepath.Join(filepath.Dir(cache), ".replaced")
		if err := os.Rename(cache, aside); errors.Is(err, fs.ErrNotExist) {
			return install(ctx, o, log)
		} else if err != nil {
			return ortlib.Library{}, fault.Wrap(fault.Output, "output_failed", err, "the cache cannot be changed").InFile(cache)
		}
		lib, err := install(ctx, o, log)
		if _, statErr := os.Stat(lib.Path); err == nil && statErr == nil && strings.HasPrefix(lib.Path, cache+string(filepath.Separator)) {
			os.RemoveAll(aside)
			return lib, nil
		}
		os.RemoveAll(cache) // at most an empty folder
		os.Rename(aside, cache)
		return lib, err
	}
}
