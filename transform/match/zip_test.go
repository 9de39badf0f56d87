package match

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestZip(t *testing.T) {
	z := Zip{Width: 2, Of: []int{0, 1, 1, 0, 1}}
	if err := z.Validate(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 3}, z.Counts()); diff != "" {
		t.Errorf("Counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]int{{0, 3}, {1, 2, 4}}, z.Members()); diff != "" {
		t.Errorf("Members (-want +got):\n%s", diff)
	}
	parts, err := z.Split([]int{3, 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]int{{0, 1, 1}, {0, 1}}, parts); diff != "" {
		t.Errorf("Split (-want +got):\n%s", diff)
	}
	if _, err := z.Split([]int{3, 3}); err == nil {
		t.Error("Split: no error for widths that add up to 6")
	}
	text, err := json.Marshal(z)
	if err != nil || string(text) != `{"width":2,"of":[0,1,1,0,1]}` {
		t.Errorf("JSON is %s, error %v", text, err)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, z := range map[string]Zip{
		"no width":     {},
		"out of range": {Width: 1, Of: []int{0, 1}},
		"negative":     {Width: 1, Of: []int{0, -1}},
		"no members":   {Width: 2, Of: []int{0, 0}},
	} {
		if z.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
