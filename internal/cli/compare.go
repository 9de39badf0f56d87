package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// compareFlags are the flags of compare.
type compareFlags struct {
	engineName string
	atol, rtol []string
	data       []string
	normalize  []string
	dataset    dataFlags
	seed       uint64
	engine     engineFlags
}

// comparison is the result of compare.
type comparison struct {
	Merged  string          `json:"merged"`
	Engine  string          `json:"engine"`
	Data    string          `json:"data"`
	Samples int             `json:"samples"`
	Outputs []outputCompare `json:"outputs"`
}

type outputCompare struct {
	eval.OutputAgreement
	SourceFile string `json:"source_file"`
	// Allowed is atol + rtol·max|source output|, where a tolerance was given; MaxAbsSource is that maximum.
	Allowed      *float64 `json:"allowed_max_abs,omitempty"`
	MaxAbsSource *float64 `json:"max_abs_source,omitempty"`
	Passed       bool     `json:"passed"`
}

func (a *app) compareCommand() *cobra.Command {
	f := &compareFlags{}
	cmd := &cobra.Command{
		Use: "compare MERGED SOURCE…", Short: "Compare a merged file's outputs with its sources'",
		Long: `Runs a merged file and its sources on the same inputs and shows how far each
output is from its source's. Tolerances are held against the largest difference:

  max|merged - source|  ≤  atol + rtol · max|source|

Outside of them the exit code is 8. A source belongs to the head that the merged
file's metadata names for it; otherwise write HEAD=FILE. --engine go runs
everything in a second engine that shares no code with ONNX Runtime.`,
		Example: `  onnx-zip compare merged.onnx a.onnx b.onnx --data calib.npz
  onnx-zip compare merged.onnx a.onnx b.onnx --engine go --rtol 1e-4`,
		DisableFlagsInUseLine: true,
		Args:                  atLeast(2, "onnx-zip compare merged.onnx a.onnx b.onnx"), ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, files []string) error { return a.compare(cmd.Context(), files, f) },
	}
	a.addGroup(cmd, "Comparison", func(s *pflag.FlagSet) {
		s.StringVar(&f.engineName, "engine", "ort", "`NAME`: ort (ONNX Runtime, the default) or go (pure Go; slow)")
		s.StringArrayVar(&f.rtol, "rtol", nil, "`[OUTPUT=]X`: relative tolerance (repeat)")
		s.StringArrayVar(&f.atol, "atol", nil, "`[OUTPUT=]X`: absolute tolerance (repeat)")
	})
	a.addGroup(cmd, "Data", func(s *pflag.FlagSet) {
		s.StringArrayVar(&f.data, "data", nil, "`FILE`: inputs, .npz (default: normal random numbers)")
		s.IntVar(&f.dataset.samples, "samples", 0, "`N`: samples (default: all of --data, or 64 random ones)")
		s.Uint64Var(&f.seed, "seed", 0, "`N`: seed of random inputs (default: 0)")
		f.dataset.define(s)
		defineNormalize(s, &f.normalize)
	})
	a.addGroup(cmd, "Machine", f.engine.define)
	complete(cmd, "engine", "ort", "go")
	completeFiles(cmd, "data", "npz", "npy")
	return cmd
}

func (a *app) compare(ctx context.Context, files []string, f *compareFlags) error {
	if err := f.engine.check(); err != nil {
		return err
	}
	subjects, err := a.loadSubjects(files[:1])
	if err != nil {
		return err
	}
	s := subjects[0]
	normalize, err := normalizeFor(f.normalize, s.names())
	if err != nil {
		return err
	}
	sources, err := a.matchSources(s, files[1:], "source", normalize)
	if err != nil {
		return err
	}
	limits, err := parseTolerances(f, outputNames(s.model))
	if err != nil {
		return err
	}
	sets := &datasets{a: a, flags: f.dataset}
	defer sets.Close()
	src, what, err := f.inputs(s.model, sets)
	if err != nil {
		return err
	}
	engine, err := a.compareEngine(f)
	if err != nil {
		return err
	}
	r := &comparison{Merged: s.model.File, Engine: engine.Name(), Data: what, Samples: src.Samples(), Outputs: []outputCompare{}}
	a.doc.Result = r
	sc := scorer{a: a, engine: engine, o: eval.Options{Batch: f.engine.batch, Workers: f.engine.threads}}
	for _, one := range sources {
		if err := sc.compareOne(ctx, s.model, one, src, limits, r); err != nil {
			return err
		}
	}
	a.printComparison(r)
	return r.verdict()
}

func (a *app) compareEngine(f *compareFlags) (calibrate.Engine, error) {
	switch f.engineName {
	case "ort":
		return a.openEngine(f.engine)
	case "go":
		if a.deps.Second != nil {
			return a.deps.Second, nil
		}
		return nil, fault.New(fault.Runtime, "no_second_engine", "this program was built without the second engine")
	}
	return nil, usage("bad_flag", "--engine %s: the engines are ort and go", f.engineName)
}

// inputs are the data given, or random numbers.
func (f *compareFlags) inputs(m *onnx.Model, sets *datasets) (calibrate.Source, string, error) {
	if len(f.data) == 0 {
		n := f.dataset.samples
		if n <= 0 {
			n = 64
		}
		src, err := randomInputs(m, n, f.seed)
		return src, "normal random numbers", err
	}
	var err error
	if sets.inputs, err = data.Inputs(m); err != nil {
		return nil, "", err
	}
	var list []headed
	for _, file := range f.data {
		list = append(list, headed{Rest: file})
	}
	src, err := sets.calibration(list, f.seed)
	return src, strings.Join(f.data, ", "), err
}

// tolerance is what an output may differ by.
type tolerance struct{ atol, rtol float64 }

// parseTolerances reads NUMBER for all outputs and OUTPUT=NUMBER for one; the latter wins.
func parseTolerances(f *compareFlags, outputs []string) (map[string]tolerance, error) {
	limits := map[string]tolerance{}
	for _, named := range []bool{false, true} {
		for _, list := range []struct {
			flag   string
			values []string
			set    func(*tolerance, float64)
		}{
			{"atol", f.atol, func(t *tolerance, x float64) { t.atol = x }},
			{"rtol", f.rtol, func(t *tolerance, x float64) { t.rtol = x }},
		} {
			for _, v := range list.values {
				i := strings.LastIndex(v, "=")
				if (i >= 0) != named {
					continue
				}
				x, err := strconv.ParseFloat(v[i+1:], 64)
				if err != nil || !(x >= 0) {
					return nil, usage("bad_flag", "--%s %s: %q is no tolerance", list.flag, v, v[i+1:])
				}
				to := outputs
				if named {
					if to = []string{v[:i]}; !contains(outputs, v[:i]) {
						return nil, usage("unknown_output", "--%s %s: there is no output %q", list.flag, v, v[:i]).
							WithHint("the outputs are %s", strings.Join(outputs, ", "))
					}
				}
				for _, name := range to {
					t := limits[name]
					list.set(&t, x)
					limits[name] = t
				}
			}
		}
	}
	return limits, nil
}

// compareOne compares the outputs of one head.
func (s scorer) compareOne(ctx context.Context, merged *onnx.Model, one source, src calibrate.Source, limits map[string]tolerance, r *comparison) error {
	rows, err := s.agreement(ctx, merged, []source{one}, src)
	if err != nil {
		return err
	}
	for _, row := range rows {
		out := outputCompare{OutputAgreement: row.OutputAgreement, SourceFile: one.Model.File, Passed: row.Error.NotFinite == 0}
		if limit, ok := limits[row.Merged]; ok {
			largest := 0.0
			if limit.rtol > 0 {
				if largest, err = s.largest(ctx, one.Model, row.Source, eval.Rename(src, one.Rename)); err != nil {
					return err
				}
				out.MaxAbsSource = &largest
			}
			allowed := limit.atol + limit.rtol*largest
			out.Allowed = &allowed
			out.Passed = out.Passed && row.Error.MaxAbs <= allowed
		}
		r.Outputs = append(r.Outputs, out)
	}
	return nil
}

// largest is max|y| of an output over the data.
func (s scorer) largest(ctx context.Context, m *onnx.Model, output string, src calibrate.Source) (float64, error) {
	most := 0.0
	o := calibrate.ForwardOptions{Outputs: []string{output}, Batch: s.o.Batch, Workers: s.o.Workers}
	err := calibrate.Forward(ctx, s.engine, m, src, o, func(b calibrate.ForwardBatch) error {
		values, err := b.Outputs[output].Float64s()
		for _, x := range values {
			if x = math.Abs(x); !math.IsInf(x, 0) && x > most {
				most = x
			}
		}
		return err
	})
	return most, err
}

// verdict is the error for the worst output outside its tolerance, nil where there is none.
func (r *comparison) verdict() error {
	for _, o := range r.Outputs {
		switch {
		case o.Passed:
		case o.Error.NotFinite > 0:
			return fault.New(fault.Verification, "not_finite", "%d values are NaN or infinite", o.Error.NotFinite).InFile(r.Merged).AtValue(o.Merged)
		default:
			return fault.New(fault.Verification, "outside_tolerance", "differs from %q of %s by up to %.3g, allowed are %.3g",
				o.Source, o.SourceFile, o.Error.MaxAbs, *o.Allowed).InFile(r.Merged).AtValue(o.Merged)
		}
	}
	return nil
}

func (a *app) printComparison(r *comparison) {
	t := &table{}
	t.add("output", "max", "mean", "p50", "p99", "p99.9", "relative", "top-1")
	for _, o := range r.Outputs {
		top := "-"
		if o.Top1 != nil {
			top = percent(o.Top1.Value)
		}
		e := o.Error
		t.add(o.Merged, short(e.MaxAbs), short(e.MeanAbs), short(e.P50), short(e.P99), short(e.P999), relative(e), top)
	}
	a.printf("absolute differences to the sources on %s of %s, %s\n%s", plural(r.Samples, "sample"), r.Data, r.Engine, t)
}

func short(x float64) string { return fmt.Sprintf("%.2g", x) }
