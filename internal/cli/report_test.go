package cli_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/cli"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// pageText is the text of a page that is well-formed XML.
func pageText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var b strings.Builder
	for d := xml.NewDecoder(content); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("%s is not well-formed: %v", path, err)
		}
		if text, ok := token.(xml.CharData); ok {
			b.Write(text)
		}
	}
}

// TestReport: a real merge's page holds the figures of its JSON document.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "m.html")
	args := append(mergeArgs(filepath.Join(dir, "m.onnx")), "--heads", "a,b", "--report", page, "--require-beats-control",
		"--test", models+"fmnist_test.npz", "--classes", "a=0,2,3,5,8", "--classes", "b=1,4,6,7,9")
	_, stdout, stderr := run(context.Background(), realDeps(), args...)
	var doc struct {
		Reason string `json:"verdict_reason"`
		Result struct {
			Shared   string
			SHA256   string `json:"file_sha256"`
			Accuracy struct {
				Tasks []struct{ Accuracy struct{ Value float64 } }
			}
			Report struct {
				Heads  []struct{ SHA256 string }
				Spaces []struct{ Across, Within, Alone int }
				Refit  struct {
					Errors map[string]float64 `json:"relative_error"`
				}
				Cost struct {
					Ratio float64 `json:"params_ratio"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || doc.Result.Report.Cost.Ratio == 0 {
		t.Fatalf("%v in %s, %s", err, stdout, stderr)
	}
	text, r := pageText(t, page), doc.Result
	want := []string{doc.Reason, r.Shared, r.SHA256, r.Report.Heads[0].SHA256, r.Report.Heads[1].SHA256, fmt.Sprintf("%.3f", r.Report.Cost.Ratio),
		"halves", "graft", "ONNX Runtime", "--require-beats-control", "Verification of the file"}
	for _, task := range r.Accuracy.Tasks {
		want = append(want, strings.TrimSuffix(fmt.Sprintf("%.1f", 100*task.Accuracy.Value), ".0")+" %")
	}
	for _, s := range r.Report.Spaces {
		want = append(want, fmt.Sprintf("%d / %d / %d", s.Across, s.Within, s.Alone))
	}
	for _, e := range r.Report.Refit.Errors {
		want = append(want, fmt.Sprintf("%.3f", e))
	}
	for _, w := range want {
		if w == "" || !strings.Contains(text, w) {
			t.Errorf("%q is not on the page", w)
		}
	}
}

// wrong is an engine whose outputs are off in every session but the first.
type wrong struct {
	calibrate.Engine
	sessions *int
}

type wrongSession struct{ calibrate.Session }

func (w wrong) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	s, err := w.Engine.Open(ctx, m, o)
	if *w.sessions++; *w.sessions == 1 || err != nil {
		return s, err
	}
	return wrongSession{s}, nil
}

func (s wrongSession) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	out, err := s.Session.Run(ctx, feeds)
	for name, t := range out {
		if v, verr := t.Float64s(); verr == nil && t.DType == onnx.Float && len(v) > 0 {
			v[0] += 1
			out[name] = onnx.FromFloat64(t.DType, v, t.Dims...)
		}
	}
	return out, err
}

// TestProofFails: a property that does not hold ends with code 8, after all proofs were shown.
func TestProofFails(t *testing.T) {
	d := realDeps()
	open := d.Open
	d.Open = func(o cli.EngineOptions) (calibrate.Engine, error) {
		e, err := open(o)
		return wrong{e, new(int)}, err
	}
	code, stdout, stderr := run(context.Background(), d, "inspect", models+"fmnist_mlp_a.onnx", "--verify", "--json")
	doc := decode(t, stdout)
	if code != 8 || doc.Error == nil || doc.Error.Code != "proof_failed" || !strings.Contains(doc.Error.Message, `"permute"`) {
		t.Fatalf("code %d, %+v, %s", code, doc.Error, stderr)
	}
	if !strings.Contains(stdout, `"passed": false`) || !strings.Contains(stdout, `"space": "`) {
		t.Errorf("the proofs are not shown: %s", stdout)
	}
}
