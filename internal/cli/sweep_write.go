package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// writeFiles writes sweep.json and sweep.html anew.
func (w *sweeping) writeFiles() error {
	doc := w.a.doc
	doc.Command, doc.OK, doc.Result = "sweep", w.out.Complete, &w.out
	var b bytes.Buffer
	if err := doc.write(&b); err != nil {
		return err
	}
	if err := report.Write(filepath.Join(w.f.output, "sweep.json"), b.Bytes(), true); err != nil {
		return err
	}
	page, err := w.page()
	if err != nil {
		return err
	}
	content, err := page.HTML()
	if err != nil {
		return err
	}
	return report.Write(filepath.Join(w.f.output, "sweep.html"), content, true)
}

// page gathers what sweep.html shows.
func (w *sweeping) page() (*report.SweepPage, error) {
	p := &report.SweepPage{
		Title: strings.Join(headNames(w.p), " + "), Heads: headNames(w.p), Shared: w.out.Shared, Rank: w.out.Rank, Complete: w.out.Complete, Rows: w.out.Rows,
		Samples: w.samplesLine(), Command: append([]string{"onnx-zip"}, w.a.args...), Versions: w.pageVersions(),
	}
	if w.yard.ref != nil {
		p.Labelled = true
	}
	for _, x := range w.a.doc.Warnings {
		p.Warnings = append(p.Warnings, report.Warning{Code: x.Code, Where: strings.Trim(x.File+" "+x.Head, " "), Message: x.Message})
	}
	var err error
	p.Files, err = w.pageFiles()
	return p, err
}

// hold keeps the models of the front so far in memory, where they are to be written in the end.
func (w *sweeping) hold(row sweep.Row, res *transform.Result) {
	if !w.s.keep || row.Failed != nil {
		return
	}
	w.kept[row.Key] = res
	rows := append(append([]sweep.Row(nil), w.out.Rows...), row)
	measure := w.s.rank
	if measure == "" {
		measure = sweep.DefaultMeasure(rows)
	}
	sweep.MarkFront(rows, measure)
	for _, r := range rows {
		if !r.Front {
			delete(w.kept, r.Key)
		}
	}
}

// keepFront writes the models of the front; those that were written before and are not on it any more are removed.
func (w *sweeping) keepFront(ctx context.Context) error {
	dir := filepath.Join(w.f.output, "models")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.Wrap(fault.Output, "output_failed", err, "the folder cannot be made").InFile(dir)
	}
	for i := range w.out.Rows {
		row := &w.out.Rows[i]
		written := row.File != "" && sameFile(filepath.Join(w.f.output, row.File), row.SHA256)
		switch {
		case row.Front && !written:
			if err := w.keepOne(ctx, row); err != nil {
				return err
			}
		case !row.Front && written:
			if err := os.Remove(filepath.Join(w.f.output, row.File)); err != nil {
				return fault.Wrap(fault.Output, "output_failed", err, "cannot be removed").InFile(row.File)
			}
			fallthrough
		case !row.Front && row.File != "":
			row.File, row.SHA256 = "", ""
			if err := w.journal.Add(*row); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameFile(path, sha256 string) bool {
	sum, err := fileSHA256(path)
	return err == nil && sum == sha256
}

// keepOne writes one model, after the same verification as a merge's; one that was made in an earlier run is made again.
func (w *sweeping) keepOne(ctx context.Context, row *sweep.Row) error {
	res := w.kept[row.Key]
	if res == nil {
		for i, c := range w.candidates {
			if w.keys[i] != row.Key {
				continue
			}
			var err error
			if res, err = w.p.Merge(ctx, w.engine, w.source(), w.options(c)); err != nil {
				return err
			}
		}
	}
	row.File = filepath.Join("models", fileName(row.Name)+".onnx")
	path := filepath.Join(w.f.output, row.File)
	staged, err := onnx.Stage(res.Model, path, onnx.SaveOptions{Force: true})
	if err != nil {
		return err
	}
	defer staged.Discard()
	file, err := loadStaged(staged, path)
	if err != nil {
		return fault.Wrap(fault.Verification, "does_not_load", err, "the written file does not load")
	}
	if _, err := w.p.Verify(ctx, w.engine, file, res, w.source()); err != nil {
		return err
	}
	if err := staged.Commit(); err != nil {
		return err
	}
	if row.SHA256, err = fileSHA256(path); err != nil {
		return err
	}
	w.a.info("wrote %s", path)
	return w.journal.Add(*row)
}

var notInFile = regexp.MustCompile(`[^A-Za-z0-9_.]+`)

// fileName is a row's name as a file's.
func fileName(name string) string {
	return strings.Trim(notInFile.ReplaceAllString(strings.ReplaceAll(name, " until ", "_"), "_"), "_")
}
