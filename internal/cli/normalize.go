package cli

import (
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/pflag"
)

// defineNormalize is the flag for preprocessing that lies outside of a model's file.
func defineNormalize(s *pflag.FlagSet, values *[]string) {
	s.StringArrayVar(values, "normalize", nil,
		"`HEAD=MEAN:STD`: its model wants (x-mean)/std of the data, which is raw: one number each or one for each channel, as a=0.485,0.456,0.406:0.229,0.224,0.225 (repeat)")
}

// parseNormalize reads a=mean:std for each head. Heads are checked where their names are known.
func parseNormalize(values []string) (map[string]transform.Normalization, error) {
	out := map[string]transform.Normalization{}
	for _, v := range values {
		head, rest, ok := strings.Cut(v, "=")
		if !ok || head == "" {
			return nil, usage("bad_flag", "--normalize %s: the form is HEAD=MEAN:STD", v)
		}
		if _, twice := out[head]; twice {
			return nil, usage("bad_flag", "--normalize %s: head %s has a normalisation already", v, head)
		}
		n, err := transform.ParseNormalization(rest)
		if err != nil {
			return nil, err
		}
		out[head] = n
	}
	return out, nil
}

// normalizeFor parses the flag for heads that are known.
func normalizeFor(values, heads []string) (map[string]transform.Normalization, error) {
	out, err := parseNormalize(values)
	for _, v := range values {
		if head, _, _ := strings.Cut(v, "="); err == nil && !contains(heads, head) {
			return nil, unknownHead("normalize", v, head, heads)
		}
	}
	return out, err
}

// recordedNormalization is how merge was told to normalise the data of a merged file's source.
func recordedNormalization(m *onnx.Model, head string) (n transform.Normalization, ok bool, err error) {
	text := m.Metadata("onnx_zip.normalize." + head)
	if text == "" {
		return n, false, nil
	}
	n, err = transform.ParseNormalization(text)
	return n, true, err
}

// showPrefixes says what each source does to its inputs by itself.
func (a *app) showPrefixes(prefixes []transform.PrefixReport) {
	for _, p := range prefixes {
		a.paragraph("own prefix of %s: %s (%s FLOPs)", strings.Join(p.Heads, ", "), strings.Join(p.Nodes, ", "), report.Count(p.FLOPs))
	}
	if len(prefixes) > 0 {
		a.paragraph("%s", fmt.Sprintf("The first node with weights that is shared reads %s side by side.", prefixWords(prefixes)))
	}
}

// prefixWords is "all prefixes", or the input too where some model has none.
func prefixWords(prefixes []transform.PrefixReport) string {
	if len(prefixes) == 1 {
		return "it and the plain input"
	}
	return "all of them"
}
