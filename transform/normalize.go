package transform

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Normalization is preprocessing that lies outside a file: its model wants (x − Mean) / Std where it is given x. Each
// is one number for all channels, or one for each.
type Normalization struct{ Mean, Std []float64 }

// ParseNormalization reads "mean:std", each one number or several separated by commas.
func ParseNormalization(text string) (Normalization, error) {
	var n Normalization
	mean, std, ok := strings.Cut(text, ":")
	var err1, err2 error
	n.Mean, err1 = parseNumbers(mean)
	n.Std, err2 = parseNumbers(std)
	bad := func(format string, args ...any) (Normalization, error) {
		return n, fault.New(fault.Usage, "bad_normalization", "%q is no normalisation: %s", text, fmt.Sprintf(format, args...)).
			WithHint("give mean:std, each one number or one for each channel: 0.485,0.456,0.406:0.229,0.224,0.225")
	}
	switch {
	case !ok:
		return bad("there is no colon")
	case err1 != nil:
		return bad("%v", err1)
	case err2 != nil:
		return bad("%v", err2)
	case len(n.Mean) > 1 && len(n.Std) > 1 && len(n.Mean) != len(n.Std):
		return bad("%d means and %d deviations", len(n.Mean), len(n.Std))
	}
	for _, s := range n.Std {
		if s == 0 {
			return bad("a deviation of 0 cannot be divided by")
		}
	}
	return n, nil
}

func parseNumbers(text string) ([]float64, error) {
	var out []float64
	for _, part := range strings.Split(text, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%q is no number", part)
		}
		out = append(out, x)
	}
	return out, nil
}

// String is the form that ParseNormalization reads.
func (n Normalization) String() string {
	list := func(v []float64) string {
		var parts []string
		for _, x := range v {
			parts = append(parts, strconv.FormatFloat(x, 'g', -1, 64))
		}
		return strings.Join(parts, ",")
	}
	return list(n.Mean) + ":" + list(n.Std)
}

// Normalize returns a copy of a model that computes m((x − mean) / std): it takes raw data under m's own input name.
// Errors are of kind fault.Usage: no single image input, or another number of channels.
func Normalize(m *onnx.Model, n Normalization) (*onnx.Model, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, fault.As(err).InFile(m.File)
	}
	in, err := imageInput(ix)
	if err != nil {
		return nil, fault.As(err).InFile(m.File)
	}
	dtype, dims, _ := onnx.TensorType(in)
	axis, err := channelAxisOf(dims, max(len(n.Mean), len(n.Std)))
	if err != nil {
		return nil, fault.As(err).InFile(m.File).AtValue(in.GetName())
	}
	out := m.Clone()
	g := out.Graph()
	raw := in.GetName()
	fresh := func(suffix string) string {
		name := raw + "/" + suffix
		for ix.Has(name) {
			name += "_"
		}
		return name
	}
	mean, std, centred, done := fresh("mean"), fresh("std"), fresh("centred"), fresh("normalized")
	for _, node := range g.Node {
		readInstead(node, raw, done)
	}
	g.Initializer = append(g.Initializer, constantAlong(dtype, n.Mean, axis, len(dims)).Proto(mean), constantAlong(dtype, n.Std, axis, len(dims)).Proto(std))
	g.Node = append([]*onnx.Node{
		onnx.NewNode("Sub", centred, []string{raw, mean}, []string{centred}),
		onnx.NewNode("Div", done, []string{centred, std}, []string{done}),
	}, g.Node...)
	return out, nil
}

// readInstead lets a node read another value, in its subgraphs too.
func readInstead(n *onnx.Node, from, to string) {
	for slot, v := range n.GetInput() {
		if v == from {
			n.Input[slot] = to
		}
	}
	if onnx.HasSubgraph(n) {
		onnx.RenameCaptured(n, map[string]string{from: to})
	}
}

// constantAlong is a constant with values along one axis, or one value for all.
func constantAlong(dtype onnx.DType, values []float64, axis, rank int) *onnx.Tensor {
	dims := make([]int64, rank)
	for k := range dims {
		dims[k] = 1
	}
	if len(values) > 1 {
		dims[axis] = int64(len(values))
	}
	return onnx.FromFloat64(dtype, values, dims...)
}

// imageInput is the one input of floating numbers, or the one among them that has the rank of images.
func imageInput(ix *onnx.Index) (*onnx.ValueInfo, error) {
	var floats, images []*onnx.ValueInfo
	for _, in := range ix.Inputs() {
		dtype, dims, ok := onnx.TensorType(in)
		if !ok || !dtype.IsFloat() || len(dims) < 2 {
			continue
		}
		floats = append(floats, in)
		if len(dims) == 4 {
			images = append(images, in)
		}
	}
	switch {
	case len(floats) == 1:
		return floats[0], nil
	case len(images) == 1:
		return images[0], nil
	}
	return nil, fault.New(fault.Usage, "no_image_input", "%d of its inputs could be normalised, which is not one", max(len(floats), len(images))).
		WithHint("--normalize takes models with one input of floating numbers; put the normalisation into the file otherwise")
}

// channelAxisOf is the axis that holds the channels of an input: the second or the last, whichever has their number;
// where the sizes are open or leave a choice, the second, as almost all files have it.
func channelAxisOf(dims []onnx.Dim, channels int) (int, error) {
	if channels == 1 {
		return 1, nil
	}
	var fits, open []int
	for _, axis := range []int{1, len(dims) - 1} {
		switch {
		case dims[axis].Size == int64(channels):
			fits = append(fits, axis)
		case dims[axis].Size < 0:
			open = append(open, axis)
		}
	}
	switch {
	case len(fits) > 0:
		return fits[0], nil
	case len(open) > 0:
		return open[0], nil
	}
	return 0, fault.New(fault.Usage, "bad_normalization", "%d numbers, but no axis of channels has this size", channels).
		WithHint("give one number, or one for each channel of the input")
}

// then is n followed by another normalisation: ((x − m)/s − m')/s' = (x − (m + s·m'))/(s·s').
func (n Normalization) then(next Normalization) Normalization {
	channels := max(len(n.Mean), len(n.Std), len(next.Mean), len(next.Std))
	at := func(v []float64, k int) float64 { return v[k%len(v)] } // one number stands for all channels
	var out Normalization
	for k := range channels {
		out.Mean = append(out.Mean, at(n.Mean, k)+at(n.Std, k)*at(next.Mean, k))
		out.Std = append(out.Std, at(n.Std, k)*at(next.Std, k))
	}
	return out
}

// describeNormalization records what a head's source wants done to its data, outside of its file: in this merge, and in
// the one that its file came from.
func (p *Prepared) describeNormalization(m *onnx.Model, h HeadOf) error {
	n, given := p.normalize[p.Sources.Models[h.Source].Head]
	if before := p.Files[h.Source].Metadata("onnx_zip.normalize." + h.Inner); h.Inner != "" && before != "" {
		inner, err := ParseNormalization(before)
		if err != nil {
			return fault.As(err).InFile(p.Files[h.Source].File)
		}
		if given {
			inner = n.then(inner)
		}
		n, given = inner, true
	}
	if given {
		m.SetMetadata("onnx_zip.normalize."+h.Name, n.String())
	}
	return nil
}
