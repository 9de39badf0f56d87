package transform

// NarrowReport is what a budget left of a model behind the trunk.
type NarrowReport struct {
	Head   string          `json:"head"` // the model's
	Spaces []NarrowedSpace `json:"spaces"`
}

// Features counts, over all spaces, the features that are kept, and those that there were.
func (r NarrowReport) Features() (kept, of int) {
	for _, sp := range r.Spaces {
		kept, of = kept+sp.Width, of+sp.Dim
	}
	return kept, of
}

// NarrowedSpace is a space of one model: of its features so many are kept.
type NarrowedSpace struct {
	Name  string `json:"name"`
	Dim   int    `json:"dim"`
	Width int    `json:"width"`
}

// report has the widths of the spaces that may be narrowed, by model; nil of nil.
func (n *narrowing) report() []NarrowReport {
	if n == nil {
		return nil
	}
	var out []NarrowReport
	for _, a := range n.alone {
		r := NarrowReport{Head: a.p.Sources.Models[0].Head, Spaces: []NarrowedSpace{}}
		for _, sp := range a.free {
			r.Spaces = append(r.Spaces, NarrowedSpace{Name: sp.Name, Dim: sp.Dim, Width: a.as[sp].Width})
		}
		out = append(out, r)
	}
	return out
}
