package data

import (
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Labels reads the array of class indices, one for each sample: integers of shape (N,) or (N,1). name ""
// stands for Options.LabelArray.
func (d *Dataset) Labels(name string) ([]int64, error) {
	if name == "" {
		name = d.options.LabelArray
	}
	a := d.array(name)
	switch {
	case a == nil || name == "":
		return nil, bad("no_labels", "there is no label array %q; the file has %s", name, d.list()).InFile(d.file).
			WithHint("add it with np.savez, or name the one to use with --label-array")
	case !a.dtype.IsInt():
		return nil, a.at(bad("label_type", "labels are %v; class indices are integers", a.dtype).
			WithHint("save them with .astype(np.int64)"))
	case a.perSample() != 1:
		return nil, a.at(bad("label_shape", "labels have the shape %s; one class index per sample is expected", tuple(a.shape)).
			WithHint("turn one-hot rows into indices with .argmax(1)"))
	}
	t, err := a.rows(0, d.Samples())
	if err != nil {
		return nil, err
	}
	labels, outside := ints(t, onnx.Int64)
	if outside.count > 0 {
		return nil, a.at(bad("label_range", "the label of sample %d is beyond 64 bits", outside.first))
	}
	return labels, nil
}

// list names the file's arrays with type and shape, for messages.
func (d *Dataset) list() string {
	var parts []string
	for _, a := range d.arrays {
		name := a.name
		if name == "" {
			name = "one array without a name:"
		}
		parts = append(parts, name+" "+a.dtype.String()+" "+tuple(a.shape))
	}
	return strings.Join(parts, ", ")
}
