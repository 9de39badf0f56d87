package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// cut is one axis of a Slice. Its ends are numbers or symbols.
type cut struct {
	axis       int
	start, end Dim
	step       Dim
}

// far is how exporters write "to the end": the largest int64, or int32.
const far = 1<<31 - 1

// slice has attributes before opset 10, inputs from it on.
func slice(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	cuts, ok, err := c.cuts(len(x.Dims))
	if err != nil {
		return nil, err
	}
	if !ok {
		return tensorOf(x.DType, unknowns(len(x.Dims))), nil
	}
	v := tensor(x.DType, clone(x.Dims))
	for _, s := range cuts {
		if s.step.Is(0) {
			return nil, c.mismatch("step 0")
		}
		v.Dims[s.axis] = s.size(x.Dims[s.axis])
	}
	if len(cuts) == 1 && len(x.Dims) == 1 {
		v.Ints = cuts[0].pick(x.Ints)
	} else if len(cuts) == 0 {
		v.Ints = x.Ints
	}
	return []Value{v}, nil
}

// cuts reads the arguments; ok is false where not even the axes are known.
func (c *call) cuts(rank int) (cuts []cut, ok bool, err error) {
	args, ok := c.sliceArgs()
	if !ok {
		return nil, false, nil
	}
	if args.axes == nil {
		args.axes = upTo(len(args.starts))
	}
	at, err := c.normals(args.axes, rank)
	if err != nil {
		return nil, false, err
	}
	n := len(at)
	if len(args.starts) != n || len(args.ends) != n || args.steps != nil && len(args.steps) != n {
		return nil, false, c.mismatch("%d starts, %d ends, %d axes", len(args.starts), len(args.ends), n)
	}
	for i, a := range at {
		s := cut{a, args.starts[i], args.ends[i], num(1)}
		if args.steps != nil {
			s.step = args.steps[i]
		}
		cuts = append(cuts, s)
	}
	return cuts, true, nil
}

// sliceArgs is the arguments of a Slice; axes and steps are nil where they are left out.
type sliceArgs struct {
	starts, ends, steps []Dim
	axes                []int64
}

func (c *call) sliceArgs() (args sliceArgs, ok bool) {
	if c.opset < 10 {
		args.starts = nums(onnx.AttrInts(c.node, "starts")...)
		args.ends = nums(onnx.AttrInts(c.node, "ends")...)
		args.axes = onnx.AttrInts(c.node, "axes")
		return args, true
	}
	if args.starts, ok = c.sizes(1); !ok {
		return args, false
	}
	if args.ends, ok = c.sizes(2); !ok {
		return args, false
	}
	if c.has(3) {
		if args.axes, ok = c.ints(3); !ok {
			return args, false
		}
	}
	if c.has(4) {
		args.steps, ok = c.sizes(4)
	}
	return args, ok
}

// size is the length of the cut through an axis of size d.
func (s cut) size(d Dim) Dim {
	if !s.step.Known() {
		return unknown
	}
	whole := s.step.Is(1) && s.start.Is(0) && (s.end == d || s.end.Known() && s.end.Size >= far) ||
		s.step.Is(-1) && s.end.Known() && s.end.Size <= -far && (s.start.Is(-1) || s.start.Known() && s.start.Size >= far)
	switch {
	case whole:
		return d
	case s.start == s.end && !anonymous(s.start):
		return num(0)
	case !d.Known() || !s.start.Known() || !s.end.Known():
		return unknown
	}
	from, to := s.clamp(d.Size)
	if s.step.Size > 0 {
		return num(max(0, countUp(from, to, s.step.Size)))
	}
	return num(max(0, countUp(-from, -to, -max(s.step.Size, -maxSize))))
}

// countUp is ⌈(to−from)/step⌉.
func countUp(from, to, step int64) int64 {
	if to <= from {
		return 0
	}
	return (to-from-1)/step + 1
}

// clamp is the numeric ends within an axis of size n (ONNX: Slice).
func (s cut) clamp(n int64) (from, to int64) {
	from, to = s.start.Size, s.end.Size
	if from < 0 {
		from += n
	}
	if to < 0 {
		to += n
	}
	if s.step.Size > 0 {
		return min(max(from, 0), n), min(max(to, 0), n)
	}
	return min(max(from, 0), n-1), min(max(to, -1), n-1)
}

// pick is the cut through tracked contents.
func (s cut) pick(ints []Dim) []Dim {
	n := s.size(num(int64(len(ints))))
	if ints == nil || !n.Known() || !s.start.Known() || !s.end.Known() {
		return nil
	}
	from, _ := s.clamp(int64(len(ints)))
	out := []Dim{}
	for i := range n.Size {
		out = append(out, ints[from+i*s.step.Size])
	}
	return out
}
