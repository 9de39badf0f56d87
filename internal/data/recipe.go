package data

import (
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Recipe is three lines of Python that write a data file for these inputs: samples is the user's list,
// preprocess the user's function as it was in training.
func Recipe(inputs []InputSpec) string {
	var wants, entries []string
	for i, in := range inputs {
		wants = append(wants, in.describe())
		row := "r"
		if len(inputs) > 1 {
			row = fmt.Sprintf("r[%d]", i)
		}
		entries = append(entries, fmt.Sprintf("%q: np.stack([%s for r in rows]).astype(np.%s)", in.Name, row, numpyType(in.DType)))
	}
	what := "one input without the axis N"
	if len(inputs) > 1 {
		what = fmt.Sprintf("%d inputs, each without the axis N", len(inputs))
	}
	for _, in := range inputs {
		if b := in.batch(); b > 1 {
			what += fmt.Sprintf("; give a multiple of %d samples", b)
			break
		}
	}
	return "import numpy as np\n" +
		fmt.Sprintf("rows = [preprocess(s) for s in samples]  # as in training; %s: %s\n", what, strings.Join(wants, ", ")) +
		fmt.Sprintf("np.savez(\"data.npz\", **{%s})\n", strings.Join(entries, ", "))
}

// numpyType is the type to save for an input: its own, or float32 for bfloat16, which NumPy lacks.
func numpyType(t onnx.DType) string {
	switch t {
	case onnx.BFloat16:
		return "float32"
	case onnx.Bool:
		return "bool_"
	}
	return t.String()
}
