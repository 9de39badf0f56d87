# `make demo` and `make test` are all that a fresh machine needs; both fetch what is missing.

GO ?= go
export GO
# An older Go fetches the one that go.mod asks for, also where a distribution has switched that off.
export GOTOOLCHAIN ?= auto

# Packages that start goroutines; the race detector makes tests several times slower.
RACE := ./calibrate ./calibrate/ort ./internal/data ./transform/match ./transform/refit ./eval
GENERATED := onnx/internal/onnxpb/onnx.pb.go docs/exit-codes.md docs/warnings.md

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

.PHONY: demo
demo: prerequisites ## merge two models of testdata/models and print what came out
	@echo "make demo builds ./bin/onnx-zip (a minute the first time), then merges and measures for one to two minutes on 2 cores."
	@$(MAKE) -s setup
	@$(GO) run ./internal/tools/demo -program bin/onnx-zip

.PHONY: test
test: prerequisites setup ## all tests
	$(GO) test -timeout 25m ./...

.PHONY: build
build: ## ./bin/onnx-zip
	$(GO) build -o bin/onnx-zip ./cmd/onnx-zip

.PHONY: setup
setup: build ## find ONNX Runtime, or fetch it into the user's cache folder
	bin/onnx-zip setup

.PHONY: prerequisites
prerequisites: ## say what is missing on this machine
	@sh tools/prerequisites.sh $(MAKECMDGOALS)

.PHONY: race
race: setup ## the tests of concurrent packages under the race detector
	$(GO) test -race $(RACE)

.PHONY: bench
bench: setup ## benchmarks, in the format that benchstat compares
	$(GO) test -run '^$$' -bench . -benchmem ./...

PYTHON ?= python3

.PHONY: bench-accuracy
bench-accuracy: setup ## train pairs (needs torch), merge them in every way, write docs/bench/accuracy.md; hours, resumable
	$(PYTHON) bench/train.py
	$(GO) run ./internal/tools/accuracy -program bin/onnx-zip -time

.PHONY: lint
lint: ## formatting, vet, staticcheck, imports, the build without cgo
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w" $$unformatted; exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) test ./internal/arch
	CGO_ENABLED=0 $(GO) vet ./...

.PHONY: generate
generate: ## code and documentation that is made from other files
	$(GO) run ./internal/tools/protogen onnx/internal/onnxpb onnx.proto
	$(GO) run ./internal/tools/docgen docs

.PHONY: readme
readme: setup ## put what the demo prints into README.md
	$(GO) run ./internal/tools/demo -program bin/onnx-zip >bin/demo.txt
	sh tools/readme.sh bin/demo.txt

.PHONY: zoo
zoo: setup ## prove the analysis on testdata/zoo again and write docs/zoo.md
	sh tools/zoo.sh

.PHONY: generated
generated: ## fails where `make generate` changes something
	@before=$$(cksum $(GENERATED)); $(MAKE) -s generate; \
	test "$$before" = "$$(cksum $(GENERATED))" || { echo "generated files were not up to date; commit what make generate wrote"; exit 1; }

.PHONY: clean
clean: ## remove ./bin
	rm -rf bin
