package pair

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// pairInputs pairs the graph inputs: as the user says, else by equal names, else by type and shape in
// the order of the files where that leaves no choice.
func (p *Pairing) pairInputs(o Options) error {
	first := p.Graphs[0].Inputs()
	rows := make([][]string, len(first))
	for k, in := range first {
		rows[k] = []string{in.GetName()}
	}
	for i := 1; i < len(p.Graphs); i++ {
		var mapped map[string]string
		if i-1 < len(o.MapInput) {
			mapped = o.MapInput[i-1]
		}
		names, err := p.matchInputs(i, first, mapped, o)
		if err != nil {
			return err
		}
		for k := range rows {
			rows[k] = append(rows[k], names[k])
		}
	}
	for _, row := range rows {
		p.bind(row)
	}
	p.Inputs = rows
	return nil
}

// matchInputs returns, for each input of model 0, the name of model i's.
func (p *Pairing) matchInputs(i int, first []*onnx.ValueInfo, mapped map[string]string, o Options) ([]string, error) {
	rest := p.Graphs[i].Inputs()
	if len(rest) != len(first) {
		return nil, fault.New(fault.Correspondence, "inputs_differ", "model 1 has %d inputs (%s), model %d has %d (%s)",
			len(first), listInputs(first), i+1, len(rest), listInputs(rest)).
			WithHint("give models that take the same inputs")
	}
	if err := p.checkMapping(i, mapped); err != nil {
		return nil, err
	}
	names := make([]string, len(first))
	take := func(k int, fits func(*onnx.ValueInfo) bool) {
		if names[k] != "" {
			return
		}
		if at := slices.IndexFunc(rest, fits); at >= 0 {
			names[k] = rest[at].GetName()
			rest = slices.Delete(slices.Clone(rest), at, at+1)
		}
	}
	for k, in := range first {
		take(k, func(v *onnx.ValueInfo) bool { return mapped[v.GetName()] == in.GetName() })
	}
	for k, in := range first {
		take(k, func(v *onnx.ValueInfo) bool { return v.GetName() == in.GetName() })
	}
	for k, in := range first {
		take(k, func(v *onnx.ValueInfo) bool { return inputDiff(in, v) == "" })
	}
	for k, in := range first {
		if names[k] == "" {
			return nil, unpairedInput(in, rest, i)
		}
		if d := inputDiff(in, p.Graphs[i].Input(names[k])); d != "" {
			return nil, fault.New(fault.Correspondence, "inputs_differ", "input %q of %s and %q of %s: %s",
				in.GetName(), o.file(0), names[k], o.file(i), d).AtValue(in.GetName()).
				WithHint("%s", wayOut(in, p.Graphs[i].Input(names[k])))
		}
	}
	return names, nil
}

// wayOut says what to do about two inputs that differ: sizes other than the batch may be given to both.
func wayOut(a, b *onnx.ValueInfo) string {
	ta, da, _ := onnx.TensorType(a)
	tb, db, _ := onnx.TensorType(b)
	if ta != tb || len(da) != len(db) || len(da) == 0 || da[0].Size >= 0 && db[0].Size >= 0 && da[0].Size != db[0].Size {
		return "export the models with the same input shape and type"
	}
	sizes := []string{"N"}
	for _, d := range da[1:] {
		if d.Size >= 0 {
			sizes = append(sizes, fmt.Sprint(d.Size))
		} else {
			sizes = append(sizes, "?")
		}
	}
	return fmt.Sprintf("give both the same with --input-shape %s=%s, or export them again with the same shape", a.GetName(), strings.Join(sizes, ","))
}

// file is what a model is called in messages.
func (o Options) file(i int) string {
	if i < len(o.Files) && o.Files[i] != "" {
		return o.Files[i]
	}
	return fmt.Sprintf("model %d", i+1)
}

// checkMapping refuses a mapping that names inputs which are not there, or one of them twice.
func (p *Pairing) checkMapping(i int, mapped map[string]string) error {
	targets := map[string]string{}
	for _, from := range slices.Sorted(maps.Keys(mapped)) {
		to := mapped[from]
		for _, end := range []struct {
			model int
			name  string
		}{{i, from}, {0, to}} {
			if p.Graphs[end.model].Input(end.name) == nil {
				return fault.New(fault.Usage, "map_input", "model %d has no input of this name", end.model+1).AtValue(end.name).
					WithHint("it has %s", listInputs(p.Graphs[end.model].Inputs()))
			}
		}
		if other, twice := targets[to]; twice {
			return fault.New(fault.Usage, "map_input", "two inputs of model %d are mapped to it: %q and %q", i+1, other, from).
				AtValue(to).WithHint("map each to an input of its own")
		}
		targets[to] = from
	}
	return nil
}

func unpairedInput(in *onnx.ValueInfo, rest []*onnx.ValueInfo, i int) error {
	return fault.New(fault.Correspondence, "inputs_differ", "input %s of model 1 has no counterpart among %s of model %d",
		describeInput(in), listInputs(rest), i+1).AtValue(in.GetName()).
		WithHint("export the models with the same input shape and type, or pair them with --map-input")
}

// inputDiff says how two inputs differ in type, rank or static dims; a symbolic dim fits any.
func inputDiff(a, b *onnx.ValueInfo) string {
	ta, da, _ := onnx.TensorType(a)
	tb, db, _ := onnx.TensorType(b)
	if ta != tb {
		return fmt.Sprintf("%v against %v", ta, tb)
	}
	if da == nil || db == nil {
		return ""
	}
	if len(da) != len(db) {
		return fmt.Sprintf("rank %d against %d", len(da), len(db))
	}
	for i := range da {
		if da[i].Size >= 0 && db[i].Size >= 0 && da[i].Size != db[i].Size {
			return fmt.Sprintf("axis %d has size %d against %d", i, da[i].Size, db[i].Size)
		}
	}
	return ""
}

func describeInput(v *onnx.ValueInfo) string {
	t, dims, _ := onnx.TensorType(v)
	var parts []string
	for _, d := range dims {
		switch {
		case d.Size >= 0:
			parts = append(parts, fmt.Sprint(d.Size))
		case d.Param != "":
			parts = append(parts, d.Param)
		default:
			parts = append(parts, "?")
		}
	}
	return fmt.Sprintf("%q %v[%s]", v.GetName(), t, strings.Join(parts, ","))
}

func listInputs(vs []*onnx.ValueInfo) string {
	var parts []string
	for _, v := range vs {
		parts = append(parts, describeInput(v))
	}
	return strings.Join(parts, ", ")
}
