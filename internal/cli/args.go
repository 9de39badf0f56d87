package cli

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/spf13/cobra"
)

func usage(code, format string, args ...any) *fault.Error {
	return fault.New(fault.Usage, code, format, args...)
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("arguments", "unexpected argument %q", args[0])
	}
	return nil
}

// atLeast asks for so many models.
func atLeast(n int, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		what := "a model file is needed"
		if n > 1 {
			what = strconv.Itoa(n) + " model files or more are needed"
		}
		return usage("arguments", "%s, %d given", what, len(args)).WithHint("%s", example)
	}
}

// headed is a flag's value of the form HEAD=REST; Head is "" where there is none.
type headed struct{ Head, Rest string }

// optionalHead splits HEAD=PATH. A path may hold "=" itself: only what could be a head's name counts as one.
func optionalHead(flag, value string, heads []string) (headed, error) {
	head, path, ok := strings.Cut(value, "=")
	if !ok || slices.Contains(heads, head) {
		if !ok {
			path, head = value, ""
		}
		return headed{head, path}, nil
	}
	if _, err := os.Stat(value); err == nil || strings.ContainsAny(head, "/\\.") {
		return headed{"", value}, nil
	}
	return headed{}, unknownHead(flag, value, head, heads)
}

func unknownHead(flag, value, head string, heads []string) error {
	return usage("unknown_head", "--%s %s: there is no head %q", flag, value, head).
		WithHint("the heads are %s; name them with --heads", strings.Join(heads, ", "))
}

// cutHead splits HEAD<sep>REST, where the head must be given and exist.
func cutHead(flag, value, sep, form string, heads []string) (headed, error) {
	head, rest, ok := strings.Cut(value, sep)
	if !ok || head == "" || rest == "" {
		return headed{}, usage("bad_flag", "--%s %s: the form is %s", flag, value, form)
	}
	if !slices.Contains(heads, head) {
		return headed{}, unknownHead(flag, value, head, heads)
	}
	return headed{head, rest}, nil
}

// parseClasses reads a=0,3,4 or a=@file for each head.
func parseClasses(values, heads []string) (map[string][]int, error) {
	out := map[string][]int{}
	for _, v := range values {
		h, err := cutHead("classes", v, "=", "HEAD=0,3,4 or HEAD=@FILE", heads)
		if err != nil {
			return nil, err
		}
		if file, ok := strings.CutPrefix(h.Rest, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, usage("classes_file", "--classes %s: the file cannot be read", v).InFile(file)
			}
			h.Rest = string(text)
		}
		var list []int
		for _, word := range strings.FieldsFunc(h.Rest, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			n, err := strconv.Atoi(word)
			if err != nil || n < 0 {
				return nil, usage("bad_classes", "--classes %s: %q is no class number", v, word).WithHint("classes are numbers from 0 on, as in the labels")
			}
			if slices.Contains(list, n) {
				return nil, usage("bad_classes", "--classes %s: class %d is named twice", v, n)
			}
			list = append(list, n)
		}
		out[h.Head] = list
	}
	return out, nil
}

// parseRename reads a:OLD=NEW into the form of merge.Options.
func parseRename(values, heads []string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range values {
		h, err := cutHead("rename", v, ":", "HEAD:OLD=NEW", heads)
		if err != nil {
			return nil, err
		}
		i := strings.LastIndex(h.Rest, "=")
		if i <= 0 || i == len(h.Rest)-1 {
			return nil, usage("bad_flag", "--rename %s: the form is HEAD:OLD=NEW", v)
		}
		out[h.Head+":"+h.Rest[:i]] = h.Rest[i+1:]
	}
	return out, nil
}

// parseWeights reads a=3: what a model counts.
func parseWeights(values, heads []string) (map[string]float64, error) {
	out := map[string]float64{}
	for _, v := range values {
		h, err := cutHead("weight", v, "=", "HEAD=NUMBER", heads)
		if err != nil {
			return nil, err
		}
		w, err := strconv.ParseFloat(h.Rest, 64)
		if err != nil || !(w > 0) || math.IsInf(w, 0) {
			return nil, usage("bad_flag", "--weight %s: it is a positive number", v)
		}
		out[h.Head] = w
	}
	return out, nil
}

// parseMapInput reads b:ids=input_ids: input "ids" of head b is the first model's "input_ids". Heads are
// checked later, where their names are known.
func parseMapInput(values []string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, v := range values {
		head, rest, ok := strings.Cut(v, ":")
		i := strings.LastIndex(rest, "=")
		if !ok || head == "" || i <= 0 || i == len(rest)-1 {
			return nil, usage("bad_flag", "--map-input %s: the form is HEAD:INPUT=INPUT_OF_THE_FIRST_MODEL", v)
		}
		if out[head] == nil {
			out[head] = map[string]string{}
		}
		out[head][rest[:i]] = rest[i+1:]
	}
	return out, nil
}

// parseSize reads a number of bytes: 512MiB, 2GB, 1.5G, 1000000.
func parseSize(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToLower(strings.TrimSpace(text[len(digits):]))
	factor, ok := map[string]float64{
		"": 1, "b": 1, "k": 1 << 10, "kb": 1e3, "kib": 1 << 10, "m": 1 << 20, "mb": 1e6, "mib": 1 << 20,
		"g": 1 << 30, "gb": 1e9, "gib": 1 << 30, "t": 1 << 40, "tb": 1e12, "tib": 1 << 40,
	}[unit]
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(n > 0) || n*factor > 1<<62 {
		return 0, usage("bad_flag", "--%s %s is no size", flag, text).WithHint("write it like 512MiB or 2GB")
	}
	return int64(n * factor), nil
}
