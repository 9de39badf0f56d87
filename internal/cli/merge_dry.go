package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// foretell ends a dry run: it says what the merge would keep in memory and on disk.
func (m *merging) foretell(ctx context.Context) error {
	m.result.DryRun = true
	if m.choice == nil {
		need, err := m.p.Need(ctx, m.engine, m.source(), m.o)
		if err != nil {
			return err
		}
		if m.result.Need = need; need != nil {
			m.a.printf("%s\n", needLine(need, m.f.scratch))
		}
	}
	m.a.printf("dry run: everything fits; %s would be written\n", m.f.output)
	return nil
}

// needLine is what a refit keeps, for people.
func needLine(n *refit.Need, folder string) string {
	line := fmt.Sprintf("least squares would keep about %s of values in memory", mebibytes(n.Memory))
	if n.Scratch > 0 {
		if folder == "" {
			folder = os.TempDir()
		}
		line += fmt.Sprintf(" and %s in a scratch file in %s", mebibytes(n.Scratch), folder)
	}
	return line + fmt.Sprintf(", %s of columns, and %s for its largest system", mebibytes(n.Columns), mebibytes(n.System))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
