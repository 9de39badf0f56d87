package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/onnx-zip/onnx-zip/transform"
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
func needLine(n *transform.Need, folder string) string {
	if folder == "" {
		folder = os.TempDir()
	}
	in := func(memory, scratch int64) string {
		line := mebibytes(memory) + " of values in memory"
		if scratch > 0 {
			line += fmt.Sprintf(" and %s in scratch files in %s", mebibytes(scratch), folder)
		}
		return line
	}
	line := fmt.Sprintf("statistics would take about %s\n", in(n.Statistics.Memory, n.Statistics.Scratch))
	line += fmt.Sprintf("least squares would keep about %s", in(n.Memory, n.Scratch))
	return line + fmt.Sprintf(", %s of columns, and %s for its largest system", mebibytes(n.Columns), mebibytes(n.System))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
