package eval

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Rename returns src with its inputs renamed: `to` maps names of src to those of another model, names that it does
// not mention stay. It lets a source run on data that was made for the merged file, whose inputs carry the first
// source's names.
func Rename(src calibrate.Source, to map[string]string) calibrate.Source {
	return renamed{src, to}
}

type renamed struct {
	calibrate.Source
	to map[string]string
}

func (r renamed) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	feeds, err := r.Source.Batch(from, to)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*onnx.Tensor, len(feeds))
	for name, t := range feeds {
		if other, ok := r.to[name]; ok {
			name = other
		}
		out[name] = t
	}
	return out, nil
}
