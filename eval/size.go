package eval

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"google.golang.org/protobuf/proto"
)

// Size is what a model is made of.
type Size struct {
	Params int64 `json:"params"`
	// FLOPs of one run of FLOPsBatch samples: one, unless the model fixes its batch. Package cost says how they
	// are counted.
	FLOPs      int64 `json:"flops"`
	FLOPsBatch int64 `json:"flops_batch"`
	// FileBytes is the size as one file; with external data, of the file and its data together.
	FileBytes int64 `json:"file_bytes"`
	// Uncounted are the nodes whose FLOPs are not known: with them FLOPs is a lower bound.
	Uncounted []cost.Uncounted `json:"uncounted,omitempty"`
}

// SizeOf counts m's parameters, FLOPs and bytes. Free sizes other than the batch are those of cost.Bind. Errors
// are of kind fault.Model.
func SizeOf(m *onnx.Model) (Size, error) {
	r, err := cost.AtBatch(m, 1)
	if err != nil {
		return Size{}, err
	}
	fixed, err := fixedBatch(m)
	if err != nil {
		return Size{}, err
	}
	return Size{
		Params: r.Params, FLOPs: r.FLOPs, FLOPsBatch: int64(max(1, fixed)),
		FileBytes: int64(proto.Size(m.Proto)), Uncounted: r.Unknown,
	}, nil
}

// fixedBatch is the number of samples that m takes at once, 0 where it is free.
func fixedBatch(m *onnx.Model) (int, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return 0, err
	}
	for _, in := range ix.Inputs() {
		if _, dims, _ := onnx.TensorType(in); len(dims) > 0 && dims[0].Size > 0 {
			return int(dims[0].Size), nil
		}
	}
	return 0, nil
}
