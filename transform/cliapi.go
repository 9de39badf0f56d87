package transform

import "github.com/onnx-zip/onnx-zip/transform/merge"

// Trunk is what a merge with these options would share, and of which form of the models: what is done with the trunk
// goes by that one. It is an error of kind fault.Correspondence where
// that is nothing, unless nothing was asked for (match none).
func (p *Prepared) Trunk(o Options) (*Prepared, *merge.Trunk, error) {
	p, t, err := p.trunk(o)
	if err != nil {
		return nil, nil, err
	}
	if len(t.Groups) == 0 && o.Match != "none" {
		return nil, nil, (&run{p: p, o: o, trunk: t}).nothingShared()
	}
	return p, t, nil
}
