#!/bin/sh
# Writes docs/zoo.md: what the analysis finds in every network of testdata/zoo, and the properties proved.
set -eu
{
	cat <<'HEAD'
# The zoo

Exported networks of testdata/zoo, what the analysis finds in them, and how many of its four properties were proved by running
them (docs/spaces.md; TestZoo fails where one does not hold). Made by `make zoo`; testdata/zoo/README.md says how the files were.

File names are architecture, exporter (t: PyTorch's TorchScript exporter, d: its dynamo exporter, k: Keras through tf2onnx) and
opset, variant, weights. *Weights with a free axis*: the share of the weights (matrices and filters) that lie in a space which may be
zipped or permuted. *Trunk*: the share of the FLOPs that two such models with different weights share. Quantised files, and files
optimised for a runtime that cannot be expanded exactly, are refused.

HEAD
	${GO:-go} run ./internal/tools/zoo testdata/zoo | sed 's#testdata/zoo/##g'
} >docs/zoo.md.tmp
mv docs/zoo.md.tmp docs/zoo.md
