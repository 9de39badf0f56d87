package transform

import "github.com/onnx-zip/onnx-zip/transform/merge"

// Trunk is what a merge with these options would share. It is an error of kind fault.Correspondence where
// that is nothing, unless nothing was asked for (match none).
func (p *Prepared) Trunk(o Options) (*merge.Trunk, error) {
	t, err := p.trunk(o)
	if err != nil {
		return nil, err
	}
	if len(t.Groups) == 0 && o.Match != "none" {
		return nil, (&run{p: p, o: o, trunk: t}).nothingShared()
	}
	return t, nil
}
