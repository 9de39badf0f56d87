#!/usr/bin/env python3
"""Makes the zoo: small networks of many architectures, exported as people export them. All of it:

    python3 make_zoo.py --torch1 PYTHON --torch2 PYTHON --keras PYTHON     everything
    python3 make_zoo.py … --only resnet18          one architecture; or one file: --only resnet18-t13-a
    python3 make_zoo.py --list                     the names of the files, and how each is made

The three interpreters are one for each exporter (README.md says what has to be installed for each):

    --torch1   torch 1.13: the TorchScript exporter            files …-t13-…: opset 13 by this exporter
    --torch2   a current torch: the dynamo exporter            files …-d18-…; also post-processes and checks
    --keras    tensorflow and tf2onnx                          files …-k13-…

Nothing is trained. All weights, biases, statistics and scales are random and distinct (zoo_nets.randomise),
drawn from (architecture, letter, name of the tensor): a file made again has the same weights, and two files
of one architecture and letter have the same weights whatever the exporter. Letters a and b differ in all.

Each file is checked by onnx.checker, run in ONNX Runtime, compared with what torch computed on the same
inputs, and run again with one and two samples where its batch is free. Intermediate results are kept outside
the repository ($XDG_CACHE_HOME/onnx-zip/zoo, else ~/.cache/onnx-zip/zoo).
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMA = 1


# ---------------------------------------------------------------------------------------------------
# Recipes: one for each file
# ---------------------------------------------------------------------------------------------------

# The plain exports, letters a and b: opset of the TorchScript exporter.
T_MAIN = {
    "resnet18": 13, "resnet34": 11, "resnet50": 13, "resnext": 13, "cifar_resnet": 13, "wide_resnet": 12,
    "preact_resnet": 13, "vgg": 11, "vgg_bn": 13, "alexnet": 11, "lenet": 11, "squeezenet": 13, "googlenet": 13,
    "inception_v3": 14, "densenet": 13, "mobilenet_v2": 13, "mobilenet_v3": 14, "efficientnet": 13, "shufflenet_v2": 13,
    "regnet_y": 13, "convnext": 17, "ghostnet": 13, "unet": 13, "unet_bilinear": 11, "deeplab": 13, "lraspp": 13,
    "autoencoder": 13, "fpn": 13, "yolo_anchors": 12, "yolo_dfl": 16, "mlp": 13, "mlp_norm": 17, "mlp_mixer": 17,
    "vit": 17, "deit": 13, "swin": 17, "torch_encoder": 14, "bert": 14, "bert_mlm": 17, "distilbert": 13, "gpt2": 13,
    "gpt": 17, "gqa": 13, "llama": 17, "wav2vec2": 14, "hubert": 17, "lstm": 13, "conv_gru": 13, "conv1d_kws": 13,
    "tagger": 13, "scripted_cell": 13, "super_resolution": 13, "norm_free": 14, "mobilevit": 14,
}

# The same by the dynamo exporter.
D_MAIN = {
    "resnet18": 18, "resnet34": 20, "resnet50": 18, "resnext": 18, "cifar_resnet": 18, "wide_resnet": 18,
    "preact_resnet": 20, "vgg": 18, "vgg_bn": 18, "alexnet": 20, "lenet": 18, "squeezenet": 18, "googlenet": 18,
    "inception_v3": 18, "densenet": 18, "mobilenet_v2": 18, "mobilenet_v3": 18, "efficientnet": 20,
    "shufflenet_v2": 18, "regnet_y": 18, "convnext": 18, "ghostnet": 20, "unet": 18, "unet_bilinear": 20,
    "deeplab": 18, "lraspp": 18, "autoencoder": 18, "fpn": 18, "yolo_anchors": 18, "yolo_dfl": 20, "mlp": 18,
    "mlp_norm": 20, "mlp_mixer": 18, "vit": 18, "deit": 20, "swin": 18, "torch_encoder": 18, "bert": 18,
    "bert_mlm": 20, "distilbert": 18, "gpt2": 18, "gpt": 20, "llama": 18, "wav2vec2": 18, "hubert": 20, "lstm": 18,
    "conv_gru": 18, "conv1d_kws": 18, "tagger": 18, "super_resolution": 18, "norm_free": 18, "mobilevit": 18,
}

# … as pairs where that export differs in form, else b alone, beside the TorchScript exports.
D_PAIRS = {"resnet18", "cifar_resnet", "wide_resnet", "densenet", "mobilenet_v2", "shufflenet_v2", "convnext", "unet",
           "autoencoder", "fpn", "yolo_dfl", "mlp", "mlp_norm", "vit", "swin", "bert", "gpt2", "gpt", "wav2vec2", "lstm",
           "conv_gru", "conv1d_kws", "tagger", "norm_free"}

FOLDED = "the exporter's defaults: constants and BatchNorms folded"


def recipes():
    """File stem -> recipe. `by` is t or d or k (an exporter) or post (made from the file `of`)."""
    out = {}

    def add(arch, tag, letters="ab", **recipe):
        for letter in letters:
            name = f"{arch}-{tag}-{letter}"
            assert name not in out, name
            out[name] = {"arch": arch, "letter": letter, "tag": tag, "weights": letter, **recipe}
            if "of" in recipe:
                out[name]["of"] = f"{arch}-{recipe['of']}-{letter}"

    for arch, opset in T_MAIN.items():
        add(arch, f"t{opset}", by="t", opset=opset, note=FOLDED)
    for arch, opset in D_MAIN.items():
        add(arch, f"d{opset}", "ab" if arch in D_PAIRS else "b", by="d", opset=opset)

    # BatchNorm kept, other opsets, a fixed batch. Where only b is made, its pair is the plain export of a.
    kept = "BatchNorms kept, constants not folded (training=TrainingMode.PRESERVE, do_constant_folding=False)"
    add("resnet18", "t13-kept", by="t", opset=13, kept=True, note=kept)
    for arch in ("mobilenet_v2", "unet"):
        add(arch, "t13-kept", "b", by="t", opset=13, kept=True, note=kept)
    for arch, opset in (("resnet18", 11), ("resnet18", 17), ("mobilenet_v2", 11)):
        add(arch, f"t{opset}", "b", by="t", opset=opset, note=FOLDED)
    add("vit", "t14", "b", by="t", opset=14, note=FOLDED + "; LayerNorm decomposed")
    for arch, opset in (("resnet18", 20), ("resnet18", 23), ("mobilenet_v2", 21), ("vit", 20), ("vit", 23), ("gpt2", 23)):
        add(arch, f"d{opset}", "b", by="d", opset=opset)
    fixed = "all dimensions fixed, batch 1"
    add("resnet18", "t13-static", by="t", opset=13, static=True, note=fixed)
    for arch, opset in (("mobilenet_v2", 13), ("vit", 17), ("bert", 14)):
        add(arch, f"t{opset}-static", "b", by="t", opset=opset, static=True, note=fixed)
    for arch in ("resnet18", "vit"):
        add(arch, "d18-static", "b", by="d", opset=18, static=True, note=fixed)
    add("unet", "t13-hw", by="t", opset=13, axes={2: "height", 3: "width"}, note="height and width are free too")
    add("unet", "d18-hw", "b", by="d", opset=18, axes={2: "height", 3: "width"}, scale=4,
        note="height and width are free too (multiples of 4)")
    add("resnet18", "t13-norm", by="t", opset=13, normalise=True,
        note="reads pixels in 0..1 and normalises inside the graph; a and b have different mean and deviation")

    # Another number of classes: other heads, other trunks.
    for arch, opset in (("resnet18", 13), ("vit", 17), ("bert", 14)):
        add(arch, f"t{opset}-classes11", "c", by="t", opset=opset, classes=11,
            note="11 classes; other weights than a and b, which have 7")

    # What people and tools do to a file afterwards.
    shuffled = ("all names replaced by meaningless ones (inputs and outputs too), nodes in another topological order, "
                "initializers in another order and every third one a Constant node")
    for arch, opset in (("resnet18", 13), ("mobilenet_v2", 13), ("vit", 17), ("bert", 14)):
        add(arch, f"t{opset}-shuffled", "b", by="post", op="shuffle", of=f"t{opset}", note=shuffled)
    left = "Identity, Dropout (inference) and float-to-float Cast nodes inserted after every seventh node"
    for arch, opset in (("vgg_bn", 13), ("resnet18", 13), ("vit", 17)):
        add(arch, f"t{opset}-leftovers", "b", by="post", op="leftovers", of=f"t{opset}", note=left)
    add("mlp", "t13-matmul", "b", by="post", op="matmul", of="t13", note="every Gemm written as MatMul and Add")
    half = "float16 by onnxconverter-common, inputs and outputs too"
    add("resnet18", "t13-f16", by="post", op="f16", of="t13", tolerance=3e-2, note=half)
    for arch, opset in (("vit", 17), ("distilbert", 13)):
        add(arch, f"t{opset}-f16", "b", by="post", op="f16", of=f"t{opset}", tolerance=3e-2, note=half)
    add("mlp", "d20-bf16", by="d", opset=20, dtype="bfloat16", tolerance=5e-2, note="exported in bfloat16")
    add("vit", "d23-bf16", "b", by="d", opset=23, dtype="bfloat16", tolerance=1e-1, note="exported in bfloat16")
    add("resnet18", "d18-f16", "b", by="d", opset=18, dtype="float16", tolerance=3e-2, note="exported in float16")
    add("resnet18", "t13-external", "b", by="post", op="external", of="t13",
        note="tensors of 256 bytes and more in a second file")

    # Local functions.
    add("resnet18", "t15-functions", "b", by="t", opset=15, functions=("BasicBlock",),
        note="export_modules_as_functions: each residual block is a local function")
    add("vit", "t15-functions", "b", by="t", opset=15, functions=("LayerNorm", "MLPBlock"),
        note="export_modules_as_functions: LayerNorm and the MLP are local functions")
    for arch in ("resnet18", "vit"):
        add(arch, "d18-raw", "b", by="d", opset=18, optimize=False, note="optimize=False: what the exporter itself emits")

    # To be refused, or expanded.
    add("resnet18", "t13-qdq", "a", by="post", op="qdq", of="t13", tolerance=0.5, refuse="quantised",
        note="quantised to int8 with QuantizeLinear/DequantizeLinear, weights per channel (onnxruntime.quantization)")
    add("mlp", "t13-dynamic8", "a", by="post", op="dynamic8", of="t13", tolerance=0.5, refuse="quantised",
        note="dynamically quantised: DynamicQuantizeLinear, MatMulInteger (onnxruntime.quantization)")
    fused = "optimised by ONNX Runtime, level extended: com.microsoft operators"
    for arch, opset in (("resnet18", 13), ("mobilenet_v2", 13), ("vit", 17), ("bert", 14), ("gpt2", 13)):
        add(arch, f"t{opset}-fused", "a", by="post", op="fused", of=f"t{opset}", tolerance=1e-3, note=fused,
            refuse="expand or refuse: com.microsoft operators")
    add("bert", "t14-transformers", "a", by="post", op="transformers", of="t14", tolerance=1e-3,
        note="onnxruntime.transformers.optimizer, model_type bert", refuse="expand or refuse: com.microsoft operators")

    # NHWC, as Keras models come.
    for arch in ("keras_cnn", "keras_mobilenet"):
        add(arch, "k13", by="k", opset=13, note="Keras, NHWC; tf2onnx puts Transposes around the convolutions")
    return out


RECIPES = recipes()

# Architectures that only the third worker knows.
KERAS = {
    "keras_cnn": {"family": "cnn", "title": "Keras CNN: convolutions, BatchNorm, flatten in NHWC order, dense",
                  "source": "Keras", "classes": 7},
    "keras_mobilenet": {"family": "cnn", "title": "Keras MobileNet-like: separable convolutions, ReLU6, a residual",
                        "source": "Keras", "classes": 7},
}


# ---------------------------------------------------------------------------------------------------
# Workers: one exporter each, in an interpreter of its own. They leave NAME.onnx and NAME.npz in the work folder.
# ---------------------------------------------------------------------------------------------------

def sample_inputs(arch_name, inputs, sizes):
    """The same inputs for every file of an architecture (where the sizes agree)."""
    import numpy as np
    digest = hashlib.sha256(f"inputs/{arch_name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    out = {}
    for name, kind, shape in inputs:
        shape = [sizes[d] if isinstance(d, str) else d for d in shape]
        if kind == "mask":
            out[name] = np.ones(shape, np.int64)
            out[name][0, -3:] = 0
        elif kind == "f32":
            out[name] = rng.standard_normal(shape).astype(np.float32)
        else:
            out[name] = rng.integers(0, kind, shape)
    return out


def torch_model(name):
    """The module of a recipe with its weights, its Arch, and its sample inputs as numpy arrays."""
    import torch
    import zoo_nets
    r = RECIPES[name]
    arch = zoo_nets.ARCHS[r["arch"]]
    torch.manual_seed(0)
    model = arch.build(r.get("classes", arch.classes))
    zoo_nets.randomise(model, f"{r['arch']}/{r['weights']}", arch.gain).eval()
    if r.get("normalise"):
        mean, std = {"a": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "b": ((0.5, 0.52, 0.48), (0.5, 0.55, 0.45))}[r["letter"]]
        model = torch.nn.Sequential(zoo_nets.Normalise(mean, std), model).eval()
    if arch.scripted:
        model = torch.jit.script(model)
    inputs = [list(i) for i in arch.inputs]
    if r.get("axes"):
        for i in inputs:
            i[2] = tuple(r["axes"].get(axis, d) for axis, d in enumerate(i[2]))
    static = r.get("static")
    sizes = {"batch": 1 if static else 2, "sequence": 12, "height": 32, "width": 40}
    samples = sample_inputs(r["arch"], inputs, sizes)
    return model, arch, inputs, samples


def keep_reference(work, name, model, samples):
    """Saves the inputs and what torch makes of them. Returns the inputs as tensors."""
    import numpy as np
    import torch
    tensors = [torch.from_numpy(v) for v in samples.values()]
    with torch.no_grad():
        outs = model(*tensors)
    outs = outs if isinstance(outs, (tuple, list)) else (outs,)
    np.savez(work / f"{name}.npz", **{f"in_{k}": v for k, v in samples.items()},
             **{f"out_{i}": o.float().numpy() for i, o in enumerate(outs)})
    return tuple(tensors)


def export_t(work, name):
    import torch
    r = RECIPES[name]
    model, arch, inputs, samples = torch_model(name)
    args = keep_reference(work, name, model, samples)
    kwargs = {}
    if not r.get("static"):
        axes = {n: {i: d for i, d in enumerate(shape) if isinstance(d, str)} for n, _, shape in inputs}
        axes.update({n: {**dims, **(r.get("axes") or {})} for n, dims in arch.outputs})
        kwargs["dynamic_axes"] = axes
    if r.get("kept"):
        kwargs.update(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    if r.get("functions"):
        kinds = {type(m) for m in model.modules() if type(m).__name__ in r["functions"]}
        kwargs["export_modules_as_functions"] = kinds
    torch.onnx.export(model, args, str(work / f"{name}.onnx"), opset_version=r["opset"],
                      input_names=[i[0] for i in inputs], output_names=[o[0] for o in arch.outputs], **kwargs)
    return {"exporter": f"torch.onnx.export (TorchScript), torch {torch.__version__}"}


def export_d(work, name):
    import torch
    r = RECIPES[name]
    model, arch, inputs, samples = torch_model(name)
    args = keep_reference(work, name, model, samples)
    if r.get("dtype"):
        dtype = getattr(torch, r["dtype"])
        model, args = model.to(dtype), tuple(a.to(dtype) if a.is_floating_point() else a for a in args)
    kwargs = {}
    if not r.get("static"):
        dims = {}
        for n, _, shape in inputs:
            for d in shape:
                if isinstance(d, str) and d not in dims:
                    factor = r.get("scale", 1) if d in ("height", "width") else 1
                    dims[d] = torch.export.Dim(d, min=1) if factor == 1 else factor * torch.export.Dim(f"_{d}", min=1)
        shapes = tuple({i: dims[d] for i, d in enumerate(shape) if isinstance(d, str)} for _, _, shape in inputs)
        kwargs["dynamic_shapes"] = (shapes,) if varargs(model) else shapes
    program = torch.onnx.export(model, args, dynamo=True, opset_version=r["opset"], verbose=False,
                                input_names=[i[0] for i in inputs], output_names=[o[0] for o in arch.outputs],
                                optimize=r.get("optimize", True), **kwargs)
    program.save(str(work / f"{name}.onnx"), external_data=False)
    import onnxscript
    return {"exporter": f"torch.onnx.export (dynamo), torch {torch.__version__.split('+')[0]}, onnxscript {onnxscript.__version__}"}


def varargs(model):
    import inspect
    return any(p.kind == p.VAR_POSITIONAL for p in inspect.signature(model.forward).parameters.values())


def worker(kind, work, names):
    """Exports the files of one exporter; a failure is reported and does not stop the others."""
    warnings.filterwarnings("ignore")
    import logging
    logging.disable(logging.WARNING)
    sys.path.insert(0, str(HERE))
    if kind == "k":
        import zoo_keras
        export = lambda work, name: zoo_keras.export(work, name, RECIPES[name])
    else:
        import torch
        torch.set_num_threads(1)
        export = {"t": export_t, "d": export_d}[kind]
    failed = []
    for name in names:
        began = time.monotonic()
        try:
            with contextlib.redirect_stdout(sys.stderr):
                info = export(work, name)
        except Exception as e:
            text = str(e).strip().splitlines() or [""]
            log(f"{name}: FAILED: {type(e).__name__}: {text[0][:300]}")
            (work / f"{name}.error").write_text(str(e))
            failed.append(name)
            continue
        (work / f"{name}.export.json").write_text(json.dumps(info))
        log(f"{name}: exported, {time.monotonic() - began:.1f} s")
    return failed


# ---------------------------------------------------------------------------------------------------
# Post-processing
# ---------------------------------------------------------------------------------------------------

def strip(model):
    """Leaves out what the dynamo exporter notes at every node (stack traces, names of modules): that names folders
    of the machine and is larger than the networks here."""
    def walk(nodes):
        for n in nodes:
            del n.metadata_props[:]
            for a in n.attribute:
                for g in [*([a.g] if a.HasField("g") else []), *a.graphs]:
                    graph(g)

    def graph(g):
        del g.metadata_props[:]
        walk(g.node)
        for v in [*g.value_info, *g.input, *g.output, *g.initializer]:
            del v.metadata_props[:]

    del model.metadata_props[:]
    graph(model.graph)
    for f in model.functions:
        del f.metadata_props[:]
        walk(f.node)
        for v in f.value_info:
            del v.metadata_props[:]


def post_shuffle(work, name, source):
    import numpy as np
    import onnx
    rng = np.random.default_rng(7)
    m = onnx.load(source)
    g = m.graph
    assert all(not a.g.ByteSize() for n in g.node for a in n.attribute)
    del g.value_info[:]
    inits = [g.initializer[i] for i in rng.permutation(len(g.initializer))]
    constants = [onnx.helper.make_node("Constant", [], [t.name], value=t) for t in inits[::3]]
    keep = [onnx.TensorProto.FromString(t.SerializeToString()) for i, t in enumerate(inits) if i % 3]
    names = {}

    def new(old):
        if old and old not in names:
            names[old] = f"v{int(rng.integers(1 << 40)):x}"
        return names.get(old, "")

    pending, done, order = constants + list(g.node), {t.name for t in keep} | {i.name for i in g.input} | {""}, []
    pending = [onnx.NodeProto.FromString(n.SerializeToString()) for n in pending]
    while pending:
        ready = [i for i, n in enumerate(pending) if all(x in done for x in n.input)]
        n = pending.pop(ready[int(rng.integers(len(ready)))])
        done.update(n.output)
        order.append(n)
    for n in order:
        n.name = ""
        n.input[:] = [new(x) for x in n.input]
        n.output[:] = [new(x) for x in n.output]
        if n.op_type == "Constant" and n.attribute[0].name == "value":
            n.attribute[0].t.name = ""
    for t in [*keep, *g.input, *g.output]:
        t.name = new(t.name)
    del g.node[:], g.initializer[:]
    g.node.extend(order)
    g.initializer.extend(keep)
    g.name = "g"
    onnx.save(m, work / f"{name}.onnx")


def post_leftovers(work, name, source):
    import onnx
    m = onnx.load(source)
    onnx.checker.check_model(m)
    inferred = onnx.shape_inference.infer_shapes(m)
    floats = {v.name for v in inferred.graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    outputs = {o.name for o in m.graph.output}
    nodes, count = [], 0
    for i, n in enumerate(m.graph.node):
        nodes.append(n)
        if i % 7 != 3 or n.output[0] in outputs or n.output[0] not in floats or n.op_type == "Constant":
            continue
        old = n.output[0]
        n.output[0] = f"{old}_before"
        kind = ("Identity", "Dropout", "Cast")[count % 3]
        extra = {"to": onnx.TensorProto.FLOAT} if kind == "Cast" else {}
        nodes.append(onnx.helper.make_node(kind, [n.output[0]], [old], f"leftover_{count}", **extra))
        count += 1
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del m.graph.node[:], m.graph.value_info[:]
    m.graph.node.extend(nodes)
    assert count >= 3, count
    onnx.save(m, work / f"{name}.onnx")


def post_matmul(work, name, source):
    import onnx
    from onnx import numpy_helper
    m = onnx.load(source)
    inits = {t.name: t for t in m.graph.initializer}
    nodes = []
    for n in m.graph.node:
        if n.op_type != "Gemm":
            nodes.append(n)
            continue
        attrs = {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
        assert attrs.get("transB") == 1 and attrs.get("alpha", 1) == attrs.get("beta", 1) == 1
        w = inits[n.input[1]]
        w.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(w).T.copy(), w.name))
        nodes.append(onnx.helper.make_node("MatMul", n.input[:2], [n.output[0] + "_product"], n.name + "_matmul"))
        nodes.append(onnx.helper.make_node("Add", [n.input[2], n.output[0] + "_product"], n.output, n.name + "_add"))
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del m.graph.node[:], m.graph.value_info[:]
    m.graph.node.extend(nodes)
    onnx.save(m, work / f"{name}.onnx")


def post_f16(work, name, source):
    import onnx
    from onnxconverter_common import float16
    m = float16.convert_float_to_float16(onnx.load(source), keep_io_types=False)
    onnx.save(m, work / f"{name}.onnx")


def post_external(work, name, source):
    import onnx
    (work / f"{name}.data").unlink(missing_ok=True)
    with contextlib.chdir(work):  # onnx looks for an old data file in the current folder
        onnx.save_model(onnx.load(source), f"{name}.onnx", save_as_external_data=True, all_tensors_to_one_file=True,
                        location=f"{name}.data", size_threshold=256)


def post_qdq(work, name, source):
    import numpy as np
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process
    feeds = reference(work, RECIPES[name]["of"])[0]
    rng = np.random.default_rng(3)

    class Reader(q.CalibrationDataReader):
        def __init__(self):
            self.left = 8

        def get_next(self):
            self.left -= 1
            return {k: rng.standard_normal(v.shape).astype(np.float32) for k, v in feeds.items()} if self.left >= 0 else None

    prepared = work / f"{name}.prepared.onnx"
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    q.quantize_static(str(prepared), str(work / f"{name}.onnx"), Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True,
                      weight_type=q.QuantType.QInt8, activation_type=q.QuantType.QUInt8)


def post_dynamic8(work, name, source):
    from onnxruntime import quantization as q
    q.quantize_dynamic(str(source), str(work / f"{name}.onnx"), weight_type=q.QuantType.QInt8)


def post_fused(work, name, source):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(work / f"{name}.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def post_transformers(work, name, source):
    from onnxruntime.transformers import optimizer
    m = optimizer.optimize_model(str(source), model_type="bert", num_heads=4, hidden_size=24, opt_level=0)
    m.save_model_to_file(str(work / f"{name}.onnx"))


# ---------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------

def reference(work, name):
    """(inputs, outputs) of a file as its exporter's framework computed them."""
    import numpy as np
    with np.load(work / f"{name}.npz") as z:
        return ({k[3:]: z[k] for k in z.files if k.startswith("in_")}, [z[f"out_{i}"] for i in range(
            sum(k.startswith("out_") for k in z.files))])


class Runner:
    """Runs a file in ONNX Runtime; in onnx's reference evaluator where that lacks a kernel (bfloat16)."""

    def __init__(self, path):
        import onnx
        import onnxruntime as ort
        ort.set_default_logger_severity(3)
        self.engine = f"onnxruntime {ort.__version__}"
        m = onnx.load(path, load_external_data=False)
        inits = {t.name for t in m.graph.initializer}
        self.inputs = [(i.name, i.type.tensor_type.elem_type) for i in m.graph.input if i.name not in inits]
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.call = lambda feeds: session.run(None, feeds)
            self.bf16 = False
        except Exception as e:
            if "bfloat16" not in str(e) and "NOT_IMPLEMENTED" not in str(e):
                raise
            import onnx.reference
            evaluator = onnx.reference.ReferenceEvaluator(str(path))
            self.call = lambda feeds: evaluator.run(None, feeds)
            self.engine = f"onnx.reference {onnx.__version__}"

    def __call__(self, arrays):
        import numpy as np
        import onnx
        feeds = {name: a.astype(onnx.helper.tensor_dtype_to_np_dtype(t)) for (name, t), a in zip(self.inputs, arrays)}
        outs = [np.asarray(o).astype(np.float32) for o in self.call(feeds)]
        for o in outs:
            assert np.isfinite(o).all(), "an output is not finite"
        return outs


def difference(got, want):
    """The largest difference over all outputs, relative to the largest value of each."""
    import numpy as np
    assert len(got) == len(want), (len(got), len(want))
    worst = 0.0
    for g, w in zip(got, want):
        assert g.shape == w.shape, (g.shape, w.shape)
        worst = max(worst, float(np.abs(g - w).max() / np.abs(w).max()))
    return worst


def twins(name):
    """Exports that have the same weights and compute the same thing."""
    r = RECIPES[name]
    key = lambda r: (r["arch"], r["weights"], r.get("normalise"), r.get("axes"), r.get("static"))
    return [n for n, o in RECIPES.items() if o["by"] != "post" and key(o) == key(r)]


def plain(arch, letter):
    """The first export of an architecture: what its variants are paired with."""
    return f"{arch}-t{T_MAIN[arch]}-{letter}" if arch in T_MAIN else f"{arch}-k13-{letter}"


def dims(value):
    t = value.type.tensor_type
    return [d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in t.shape.dim]


def check(work, name):
    """Everything that is checked about a file, and its manifest entry."""
    import numpy as np
    import onnx
    r, path = RECIPES[name], work / f"{name}.onnx"
    base = name
    while "of" in RECIPES[base]:
        base = RECIPES[base]["of"]
    m = onnx.load(path)
    checker = "passes"
    try:
        onnx.checker.check_model(str(path), full_check=not r.get("refuse"))
    except Exception as e:  # ONNX Runtime writes LayerNormalization under an opset that does not have it
        if r.get("op") != "fused":
            raise
        checker = str(e).splitlines()[0]
    raw = path.read_bytes()
    for word in (b"/usr/", b"/tmp/", b"/home/", b"/root/", b"site-packages"):
        assert word not in raw, f"the file contains {word}"
    arrays, want = reference(work, base)
    arrays = list(arrays.values())
    run = Runner(path)
    worst = difference(run(arrays), want)
    limit = r.get("tolerance", 5e-6)
    assert worst < limit, f"differs from the framework by {worst:.1e} of the largest value"
    for other in twins(name):
        if (work / f"{other}.npz").exists():
            other_arrays, other_want = reference(work, other)
            same = all(a.shape == b.shape and (a == b).all() for a, b in zip(arrays, other_arrays.values()))
            twin = difference(other_want, want) if same else 0.0
            assert twin < 5e-6, f"{other} should have the same weights, but differs by {twin:.1e}"
    # The outputs have to depend on the inputs, and not by rounding only.
    floats = [a.dtype == np.float32 for a in arrays]
    rng = np.random.default_rng(11)
    if any(floats):
        other = [rng.standard_normal(a.shape).astype(np.float32) if f else a for a, f in zip(arrays, floats)]
    else:
        other = [rng.integers(0, arrays[0].max(), arrays[0].shape), *arrays[1:]]
    moved = max(float(np.abs(g - w).max() / np.abs(w).max()) for g, w in zip(run(other), want))
    assert moved > 0.05, f"other inputs change the outputs by {moved:.1e} only"
    batches = [len(arrays[0])]
    if not r.get("static"):
        for n in (1, 3):
            got = run([np.concatenate([a, a])[:n] for a in arrays])
            for g, w in zip(got, want):
                k = min(n, len(w))
                assert g.shape[0] == n and np.abs(g[:k] - w[:k]).max() / np.abs(w).max() < max(limit, 1e-4) + 1e-9, "batch"
        batches = [1, 2, 3]
    if r.get("axes"):
        run([np.concatenate([a, a], 2)[:, :, :, :32] for a in arrays])
    inits = {t.name for t in m.graph.initializer}
    graphs = [m.graph.node, *(f.node for f in m.functions)]
    ops = sorted({(n.domain + "." if n.domain else "") + n.op_type for nodes in graphs for n in nodes})
    opset = {o.domain or "ai.onnx": o.version for o in m.opset_import}
    dtype = lambda v: onnx.TensorProto.DataType.Name(v.type.tensor_type.elem_type).lower()
    floating = (1, 10, 11, 16)
    arch = archs()[r["arch"]]
    partner = r.get("partner")
    if partner is None:
        other = "b" if r["letter"] == "a" else "a"
        partner = next((n for n in (f"{r['arch']}-{r['tag']}-{other}", plain(r["arch"], other)) if n in RECIPES), None)
    export_info = json.loads((work / f"{base}.export.json").read_text())
    entry = {
        "file": path.name, "name": name, "architecture": r["arch"], "title": arch["title"], "family": arch["family"],
        "definition": arch["source"], "exporter": export_info["exporter"], "opset": opset,
        "note": r.get("note", "the exporter's defaults"),
    }
    if r.get("refuse"):
        entry["expected"] = r["refuse"]
    if base != name:
        entry["made_from"] = RECIPES[name]["of"] + ".onnx"
    entry.update({
        "pair": partner + ".onnx" if partner else None,
        "weights": f"{r['arch']}/{r['weights']}",
        "inputs": [{"name": i.name, "dtype": dtype(i), "shape": dims(i)} for i in m.graph.input if i.name not in inits],
        "outputs": [{"name": o.name, "dtype": dtype(o), "shape": dims(o)} for o in m.graph.output],
        "nodes": len(m.graph.node), "functions": len(m.functions), "operators": ops,
        "parameters": sum(int(np.prod(t.dims)) for t in tensors(m) if t.data_type in floating),
        "bytes": path.stat().st_size, "sha256": sha256_of(path),
    })
    if r.get("op") == "external":
        data = work / f"{name}.data"
        entry["data"] = {"file": data.name, "bytes": data.stat().st_size, "sha256": sha256_of(data)}
    entry["checked"] = {"checker": checker, "engine": run.engine, "batches": batches, "max_diff": float(f"{worst:.1e}"),
                        "moved_by_other_inputs": float(f"{moved:.1e}")}
    return entry


def tensors(m):
    """Initializers and Constant nodes' values."""
    yield from m.graph.initializer
    for nodes in [m.graph.node, *(f.node for f in m.functions)]:
        for n in nodes:
            if n.op_type == "Constant":
                yield from (a.t for a in n.attribute if a.name == "value")


def archs():
    return json.loads(Path(os.environ["ZOO_ARCHS"]).read_text())


def finish(work, out, names):
    """Strips, post-processes, checks, copies into place and writes the manifest."""
    import onnx
    failed, entries = [], {e["name"]: e for e in read_manifest(out)["models"]}
    for name in names:
        r, path = RECIPES[name], work / f"{name}.onnx"
        try:
            if r["by"] == "post":
                source = work / f"{r['of']}.onnx"
                if not source.exists():
                    raise AssertionError(f"{source.name} was not made")
                with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
                    globals()["post_" + r["op"]](work, name, source)
            elif not path.exists():
                raise AssertionError("not exported")
            elif r["by"] == "d":
                m = onnx.load(path)
                strip(m)
                onnx.save(m, path)
            entry = check(work, name)
        except Exception as e:
            log(f"{name}: FAILED: {type(e).__name__}: {(str(e).strip().splitlines() or [''])[0][:400]}")
            failed.append(name)
            continue
        for file in [path] + [work / f"{name}.data"] * (r.get("op") == "external"):
            temp = out / (file.name + ".tmp")
            temp.write_bytes(file.read_bytes())
            temp.replace(out / file.name)
        entries[name] = entry
        log(f"{name}: {entry['nodes']} nodes, {entry['bytes']:,} bytes, differs by {entry['checked']['max_diff']:.1e}, "
            f"moved {entry['checked']['moved_by_other_inputs']:.1e}")
    write_manifest(out, entries)
    return failed


# ---------------------------------------------------------------------------------------------------
# The manifest
# ---------------------------------------------------------------------------------------------------

def sha256_of(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read_manifest(out):
    path = Path(out) / "manifest.json"
    return json.loads(path.read_text()) if path.exists() else {"models": []}


def to_json(value):
    """Indented JSON, with lists and small objects on one line."""
    text = json.dumps(value, indent=1)
    flat = re.compile(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])")
    small = lambda s: flat.sub(lambda m: m[1] + re.sub(r",\s+", ", ", m[2]) + m[3] if len(m[0]) < 1500 and '"file"' not in m[0]
                               and '"sha256"' not in m[0] else m[0], s)
    return small(small(text)) + "\n"


def write_manifest(out, entries):
    """All files that are there, in the recipes' order; entries of files that are gone or changed are dropped."""
    models = [entries[n] for n in RECIPES if n in entries and (out / entries[n]["file"]).exists()
              and sha256_of(out / entries[n]["file"]) == entries[n]["sha256"]]
    known = {e["file"] for e in models}
    for e in models:
        if e["pair"] not in known:
            e["pair"] = None
    manifest = {"schema": SCHEMA, "made_by": "make_zoo.py", "files": len(models), "bytes": sum(e["bytes"] for e in models),
                "models": models}
    temp = out / "manifest.json.tmp"
    temp.write_text(to_json(manifest))
    temp.replace(out / "manifest.json")
    for path in sorted(out.glob("*.onnx")):
        if path.name not in known:
            log(f"{path.name} is in no recipe, or not as its recipe made it")


# ---------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------

def log(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def main():
    default_work = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onnx-zip" / "zoo"
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--torch1", metavar="PYTHON", help="interpreter with torch 1.13")
    p.add_argument("--torch2", metavar="PYTHON", help="interpreter with a current torch, onnx and onnxruntime")
    p.add_argument("--keras", metavar="PYTHON", help="interpreter with tensorflow and tf2onnx")
    p.add_argument("--only", action="append", metavar="NAME", help="an architecture, a file, or the beginning of one; may repeat")
    p.add_argument("--out", default=str(HERE), metavar="DIR", help="where the files go (default: this folder)")
    p.add_argument("--work", default=str(default_work), metavar="DIR", help="intermediate files (default: %(default)s)")
    p.add_argument("--reuse", action="store_true", help="take exports that lie in the work folder as they are")
    p.add_argument("--list", action="store_true", help="list the files and stop")
    p.add_argument("--stage", help=argparse.SUPPRESS)
    args = p.parse_args()

    names = list(RECIPES)
    if args.only:
        wanted = [n for n in names if any(n == o or RECIPES[n]["arch"] == o or n.startswith(o + "-") for o in args.only)]
        if not wanted:
            p.error("no such name; --list shows all")
        needed = set(wanted) | {RECIPES[n]["of"] for n in wanted if "of" in RECIPES[n]}
        names = [n for n in names if n in needed]
    if args.list:
        for n in names:
            print(f"{n}\t{RECIPES[n]['by']}\t{RECIPES[n].get('note', '')}")
        return 0
    work, out = Path(args.work).resolve(), Path(args.out).resolve()
    work.mkdir(parents=True, exist_ok=True)

    if args.stage:  # in one of the interpreters
        names = json.loads(sys.stdin.read())
        if args.stage == "archs":
            sys.path.insert(0, str(HERE))
            import zoo_nets
            known = {n: {"family": a.family, "title": a.title, "source": a.source} for n, a in zoo_nets.ARCHS.items()}
            (work / "archs.json").write_text(json.dumps({**known, **KERAS}))
            return 0
        failed = finish(work, out, names) if args.stage == "finish" else worker(args.stage, work, names)
        return 1 if failed else 0

    def stage(python, what, names):
        env = {**os.environ, "ZOO_ARCHS": str(work / "archs.json"), "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "",
               "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run([python, str(HERE / "make_zoo.py"), "--stage", what, "--work", str(work), "--out", str(out)],
                              input=json.dumps(names), text=True, env=env).returncode

    if not args.torch2:
        p.error("--torch2 is needed in any case: it checks the files")
    bad = stage(args.torch2, "archs", [])
    for kind, python in (("t", args.torch1), ("d", args.torch2), ("k", args.keras)):
        todo = [n for n in names if RECIPES[n]["by"] == kind]
        if args.reuse:
            todo = [n for n in todo if not (work / f"{n}.export.json").exists()]
        if todo and not python:
            log(f"{len(todo)} files left out: no interpreter for them was given")
            names = [n for n in names if n not in todo and RECIPES[n].get("of") not in todo]
        elif todo:
            for n in todo:
                for end in (".onnx", ".npz", ".export.json", ".error"):
                    (work / (n + end)).unlink(missing_ok=True)
            bad |= stage(python, kind, todo)
    bad |= stage(args.torch2, "finish", names)
    total = sum(f.stat().st_size for f in out.iterdir() if f.is_file())
    log(f"{len(list(out.glob('*.onnx')))} files, {total / 1e6:.1f} MB")
    return bad


if __name__ == "__main__":
    sys.exit(main())
