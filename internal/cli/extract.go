package cli

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
)

// extraction is the result of extract in JSON.
type extraction struct {
	Head    string   `json:"head"`
	Output  string   `json:"output"`
	Inputs  []string `json:"inputs"`
	Outputs []string `json:"outputs"`
	Bytes   int      `json:"file_bytes"`
}

func (a *app) extractCommand() *cobra.Command {
	var head, output string
	var force bool
	cmd := &cobra.Command{
		Use: "extract MERGED --head NAME -o OUT", Short: "Take one head out of a merged file",
		Long: `Writes one head of a merged file as a model of its own: the trunk with that
head, under its source's names of inputs and outputs.`,
		Example:           "  onnx-zip extract merged.onnx --head a -o a.onnx",
		Args:              atLeast(1, "onnx-zip extract merged.onnx --head a -o a.onnx"),
		ValidArgsFunction: completeModels, DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, files []string) error { return a.extract(files, head, output, force) },
	}
	cmd.Flags().StringVar(&head, "head", "", "`NAME`: the head (required; see inspect)")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE`: where it goes (required)")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file")
	return cmd
}

func (a *app) extract(files []string, head, output string, force bool) error {
	switch {
	case len(files) > 1:
		return usage("arguments", "one merged file is needed, %d given", len(files))
	case head == "":
		return usage("no_head", "--head NAME is missing").WithHint("`onnx-zip inspect %s` lists the heads", files[0])
	case output == "" || output == "-":
		return usage("no_output", "-o FILE is missing").WithHint("say where to write: -o %s.onnx", head)
	}
	if err := onnx.CheckOutput(output, force); err != nil {
		return err
	}
	m, err := onnx.Load(files[0])
	if err != nil {
		return err
	}
	out, err := transform.Extract(m, head)
	if err != nil {
		return err
	}
	if err := onnx.Save(out, output, onnx.SaveOptions{Force: force, External: m.External}); err != nil {
		return err
	}
	data, err := out.Marshal()
	if err != nil {
		return err
	}
	r := extraction{Head: head, Output: output, Bytes: len(data)}
	for _, v := range out.Graph().GetInput() {
		r.Inputs = append(r.Inputs, v.GetName())
	}
	for _, v := range out.Graph().GetOutput() {
		r.Outputs = append(r.Outputs, v.GetName())
	}
	a.doc.Result = r
	a.printf("wrote %s: head %s, inputs %v, outputs %v\n", output, head, r.Inputs, r.Outputs)
	return nil
}
