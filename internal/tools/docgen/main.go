// Command docgen writes the pages of documentation that are tables of the code: exit codes and warnings.
//
//	go run ./internal/tools/docgen docs
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docgen DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

// write makes the pages in dir, of the module in the working folder.
func write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "exit-codes.md"), []byte(exitCodes()), 0o644); err != nil {
		return err
	}
	page, err := warnings(".")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "warnings.md"), []byte(page), 0o644)
}

// exitCodes is the page of exit codes, from the table that the command line itself uses.
func exitCodes() string {
	var b strings.Builder
	b.WriteString("# Exit codes\n\n" +
		"The earliest stage that fails decides. `onnx-zip help exit-codes` prints the same table; under `--json` the\n" +
		"document on stdout has the code, and in `error` what failed, where, and what to do.\n\n" +
		"| code | name | meaning |\n|---|---|---|\n")
	for _, k := range fault.Kinds {
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", k.Kind, k.Name, k.Meaning)
	}
	b.WriteString("\nMade by `make generate` from `internal/fault`; do not edit.\n")
	return b.String()
}
