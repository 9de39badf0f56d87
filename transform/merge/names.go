package merge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// names are the names in the merged graph. The trunk keeps model 0's, outputs are called as the user
// expects them, and what heads have of their own yields where a name is taken.
type names struct {
	taken   map[string]bool
	outputs []map[string]string // model → its output → the merged one
	scoped  []map[string]string // model → its value → the merged one
	// handedOut are Identities that are left out, since what they pass on has the output's name.
	handedOut map[*onnx.Node]bool
}

// nameAll takes the names of the trunk and the outputs, so that no other value gets them.
func (b *builder) nameAll() error {
	b.names = &names{taken: map[string]bool{}, handedOut: map[*onnx.Node]bool{}}
	for _, row := range b.s.Pairing.Inputs {
		b.names.taken[row[0]] = true
	}
	for _, k := range b.t.Groups {
		n := b.s.Pairing.Nodes[k][0]
		for _, name := range slices.Concat(n.GetInput(), n.GetOutput()) {
			b.names.taken[name] = true
		}
	}
	unknown := map[string]bool{}
	for key := range b.o.Rename {
		unknown[key] = true
	}
	for i, src := range b.s.Models {
		b.names.outputs = append(b.names.outputs, map[string]string{})
		b.names.scoped = append(b.names.scoped, map[string]string{})
		for _, v := range src.Index.Graph.GetOutput() {
			delete(unknown, src.Head+":"+v.GetName())
			if err := b.nameOutput(i, v.GetName()); err != nil {
				return err
			}
		}
		b.nameHandedOut(i)
	}
	if len(unknown) > 0 {
		return fault.New(fault.Usage, "unknown_output", "there is no output %s to rename", firstOf(unknown)).
			WithHint("name it as HEAD:OUTPUT; there are %s", b.allOutputs())
	}
	return nil
}

func (b *builder) nameOutput(i int, name string) error {
	head := b.s.Models[i].Head
	to, asked := b.o.Rename[head+":"+name]
	if asked && b.names.taken[to] {
		return fault.New(fault.Usage, "name_taken", "output %q of %s cannot be called %q: that name is taken", name, head, to).
			WithHint("choose another name")
	}
	if !asked {
		to = b.names.unique(head + "_" + name)
	}
	b.names.taken[to] = true
	b.names.outputs[i][name] = to
	return nil
}

// nameHandedOut gives what the head makes and an Identity only hands out the output's own name: no such node is needed
// then, since each output of a merged model has one head.
func (b *builder) nameHandedOut(i int) {
	ix := b.s.Models[i].Index
	for _, v := range ix.Graph.GetOutput() {
		n := ix.Producer(v.GetName())
		if n == nil || n.GetOpType() != "Identity" || !ix.HandsOut(n) {
			continue
		}
		from := n.GetInput()[0]
		maker := ix.Producer(from)
		if _, named := b.names.scoped[i][from]; maker == nil || named || b.shared(maker) || ix.Output(from) != nil {
			continue
		}
		b.names.scoped[i][from] = b.names.outputs[i][v.GetName()]
		b.names.handedOut[n] = true
	}
}

// firstOf is the smallest key, so that messages do not depend on a map's order.
func firstOf(keys map[string]bool) string {
	var all []string
	for k := range keys {
		all = append(all, k)
	}
	return fmt.Sprintf("%q", slices.Min(all))
}

func (b *builder) allOutputs() string {
	var all []string
	for _, src := range b.s.Models {
		for _, v := range src.Index.Graph.GetOutput() {
			all = append(all, src.Head+":"+v.GetName())
		}
	}
	return strings.Join(all, ", ")
}

// unique is the name, numbered where it is taken.
func (n *names) unique(name string) string {
	if !n.taken[name] {
		return name
	}
	for k := 2; ; k++ {
		if next := fmt.Sprintf("%s_%d", name, k); !n.taken[next] {
			return next
		}
	}
}

// scope is the merged name of something that head i has of its own: "h/NAME".
func (b *builder) scope(i int, name string) string {
	if to, ok := b.names.scoped[i][name]; ok {
		return to
	}
	to := b.fresh(i, name)
	b.names.scoped[i][name] = to
	return to
}

// fresh is a new name for something that merging adds to head i.
func (b *builder) fresh(i int, name string) string {
	to := b.names.unique(b.s.Models[i].Head + "/" + name)
	b.names.taken[to] = true
	return to
}
