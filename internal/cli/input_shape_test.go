package cli

import (
	"fmt"
	"testing"
)

func TestParseInputShapes(t *testing.T) {
	got, err := parseInputShapes([]string{"x=N,3,224,224", "a=b=?,H,7"})
	if want := "[{x [{-1 N} {3 } {224 } {224 }]} {a=b [{-1 ?} {-1 H} {7 }]}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, error %v, want %s", got, err, want)
	}
	for _, bad := range []string{"", "x", "x=", "=3", "x=3,,4", "x=0,3", "x=-1,3", "x=3.5", "x=1,2x"} {
		if _, err := parseInputShapes([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := parseInputShapes([]string{"x=1,2", "x=1,3"}); err == nil {
		t.Error("an input is taken twice")
	}
}
