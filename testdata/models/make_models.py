#!/usr/bin/env python3
"""Makes the test models and the test data of this folder, all of it, from Fashion-MNIST.

    python3 make_models.py                       everything that is not there yet
    python3 make_models.py --only fmnist_vgg     one pair (or one file: --only fmnist_vgg_a)
    python3 make_models.py --list                the names, and whether each is trained

It needs torch (made with 1.13), numpy and the Fashion-MNIST files. With the Python packages onnx and
onnxruntime each exported file is also checked and compared with torch; without them that step is
skipped, and says so.

Training is cut into epochs. Each finished epoch is kept in a cache outside the repository
($XDG_CACHE_HOME/onnx-zip/models, else ~/.cache/onnx-zip/models), under a hash of everything that
decides the outcome: an interrupted run goes on where it stopped, and a changed recipe trains anew.
All randomness comes from the recipe's seeds. Another processor or another torch still rounds
differently, so a retrained file has other bytes and about the same accuracy.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import math
import multiprocessing
import os
import re
import struct
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
DATA_DIR = "/usr/share/datasets/fashion-mnist"  # where the Debian package dataset-fashion-mnist puts it
MEAN, STD = 0.2860, 0.3530  # of the training images, on a scale of 0 to 1
OPSET = 13
CLASS_NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
               "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]

# The two tasks. The classes that are easily mixed up (0 2 4 6: tops; 5 7 9: shoes) are shared out, so
# that both tasks can be learned: a short MLP training gave 96 and 94 %, and 83 and 96 % for even and odd.
CLASSES = {"a": [0, 2, 3, 5, 8], "b": [1, 4, 6, 7, 9]}
ALL_CLASSES = list(range(10))


# ---------------------------------------------------------------------------------------------------
# Architectures
# ---------------------------------------------------------------------------------------------------

def conv_bn(cin, cout, kernel=3, stride=1):
    """A convolution without bias and its BatchNorm; the exporter folds the two into one Conv."""
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: 1x1 convolution where the shape changes, else identity."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = conv_bn(cin, cout, 3, stride)
        self.conv2 = conv_bn(cout, cout)
        same = cin == cout and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(cin, cout, 1, stride)

    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(x)))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """The CIFAR ResNet of depth 6*blocks+2: three stages of width, 2*width and 4*width channels."""

    def __init__(self, outputs, width, blocks):
        super().__init__()
        self.stem = conv_bn(1, width)
        layers, cin = [], width
        for stage in range(3):
            cout = width << stage
            for block in range(blocks):
                layers.append(BasicBlock(cin, cout, 2 if stage > 0 and block == 0 else 1))
                cin = cout
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(cin, outputs)

    def features(self, x):
        return torch.flatten(self.pool(self.blocks(F.relu(self.stem(x)))), 1)

    def forward(self, x):
        return self.fc(self.features(x))


class VGG(nn.Module):
    """Six 3x3 convolutions, a pool after every second: 28 -> 14 -> 7 -> 3, so the flatten sees 3x3
    positions of each channel and not just one."""

    def __init__(self, outputs, widths, hidden):
        super().__init__()
        layers, cin = [], 1
        for cout in widths:
            for _ in range(2):
                layers += [conv_bn(cin, cout), nn.ReLU()]
                cin = cout
            layers.append(nn.MaxPool2d(2))
        self.convs = nn.Sequential(*layers)
        self.dense = nn.Linear(cin * 9, hidden)
        self.fc = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.fc(F.relu(self.dense(torch.flatten(self.convs(x), 1))))


class MLP(nn.Module):
    def __init__(self, outputs, hidden):
        super().__init__()
        sizes = [28 * 28, *hidden]
        layers = [nn.Flatten()]
        for cin, cout in zip(sizes, sizes[1:]):
            layers += [nn.Linear(cin, cout), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(sizes[-1], outputs)

    def forward(self, x):
        return self.fc(self.body(x))


ARCHITECTURES = {"resnet": ResNet, "vgg": VGG, "mlp": MLP}


def build(recipe):
    """The network of a recipe, freshly initialised from the recipe's seed."""
    torch.manual_seed(recipe["init_seed"])
    return ARCHITECTURES[recipe["arch"]](outputs=len(recipe["classes"]), **recipe["arch_args"])


# ---------------------------------------------------------------------------------------------------
# Recipes: everything that decides the outcome of a training
# ---------------------------------------------------------------------------------------------------

def recipe(title, arch, arch_args, classes, seed, epochs, max_lr, **changes):
    """One training. The seed decides the initialisation, seed+1000 the order and the augmentation."""
    r = {
        "title": title, "arch": arch, "arch_args": arch_args, "classes": classes,
        "init_seed": seed, "train_seed": seed + 1000,
        "base": None,       # name of the training whose weights this one starts from
        "train": "all",     # "all" weights, or only the "head" on a frozen trunk
        "epochs": epochs, "batch": 128, "max_lr": max_lr, "weight_decay": 5e-4,
        "flip": True, "shift": 2,  # horizontal flips, and moves of up to so many pixels
    }
    unknown = set(changes) - set(r)
    if unknown:
        raise TypeError(f"recipe {title}: unknown {sorted(unknown)}")
    return {**r, **changes}


def make_recipes():
    out = {}
    for i, (task, classes) in enumerate(CLASSES.items()):
        out[f"fmnist_mlp_{task}"] = recipe(
            "MLP 784-128-128-128-5", "mlp", {"hidden": [128, 128, 128]}, classes, 11 + i,
            epochs=12, max_lr=0.1)
        out[f"fmnist_resnet20_{task}"] = recipe(
            "ResNet-20, widths 32/64/128", "resnet", {"width": 32, "blocks": 3}, classes, 21 + i,
            epochs=5, max_lr=0.2)
        out[f"fmnist_vgg_{task}"] = recipe(
            "VGG-like: 16,16,M,32,32,M,64,64,M, flatten of 3x3, 64, 5", "vgg",
            {"widths": [16, 32, 64], "hidden": 64}, classes, 31 + i, epochs=6, max_lr=0.1)
    small = ("ResNet-8, widths 16/32/64", "resnet", {"width": 16, "blocks": 1})
    out["fmnist_base"] = recipe(*small, ALL_CLASSES, 41, epochs=2, max_lr=0.2)
    for i, (task, classes) in enumerate(CLASSES.items()):
        out[f"fmnist_frozen_{task}"] = recipe(
            *small, classes, 51 + i, epochs=4, max_lr=0.1, base="fmnist_base", train="head",
            flip=False, shift=0)
        out[f"fmnist_tuned_{task}"] = recipe(
            *small, classes, 61 + i, epochs=2, max_lr=0.02, base="fmnist_base")
    return out


RECIPES = make_recipes()
PAIRS = {  # pair -> how its members are related
    "fmnist_mlp": "independent",
    "fmnist_resnet20": "independent",
    "fmnist_vgg": "independent",
    "fmnist_frozen": "frozen_trunk",
    "fmnist_tuned": "fine_tuned",
}
HIDDEN = {"fmnist_base"}  # trained for others, not exported
DATA_FILES = ["fmnist_calib.npz", "fmnist_test.npz"]
CALIB_PER_CLASS, TEST_PER_CLASS, DATA_SEED = 64, 200, 7


def members(pair):
    return [f"{pair}_{task}" for task in CLASSES]


def file_of(name):
    return f"{name}.onnx"


def recipe_key(name):
    """A hash of all that decides the weights: the recipe, its base's, and the data's normalisation."""
    r = RECIPES[name]
    parts = {"recipe": {k: v for k, v in r.items() if k != "title"}, "mean": MEAN, "std": STD,
             "base_key": recipe_key(r["base"]) if r["base"] else None}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`, and renames it into place if the body succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temp
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def sha256_of(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read_idx(path):
    with gzip.open(path, "rb") as f:
        raw = f.read()
    zero, kind, rank = struct.unpack(">HBB", raw[:4])
    if zero != 0 or kind != 8:
        raise ValueError(f"{path} is not an idx file of bytes")
    shape = struct.unpack(f">{rank}I", raw[4:4 + 4 * rank])
    data = np.frombuffer(raw, np.uint8, offset=4 + 4 * rank)
    return data.reshape(shape)


def load_split(data_dir, split):
    """Images as the networks want them, float32 [N,1,28,28], and their labels 0..9."""
    prefix = {"train": "train", "test": "t10k"}[split]
    pixels = read_idx(Path(data_dir) / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(Path(data_dir) / f"{prefix}-labels-idx1-ubyte.gz").astype(np.int64)
    images = (pixels.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    return images[:, None], labels


def of_classes(images, labels, classes):
    """The samples of these classes, with labels that count within `classes`."""
    keep = np.isin(labels, classes)
    local = np.full(10, -1, np.int64)
    local[classes] = np.arange(len(classes))
    return torch.from_numpy(images[keep]), torch.from_numpy(local[labels[keep]])


# ---------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------

def augment(x, flip, shift, rng):
    """Flips half of the batch, and moves each image by up to `shift` pixels over a black border."""
    if flip:
        chosen = torch.rand(len(x), generator=rng) < 0.5
        x = torch.where(chosen[:, None, None, None], x.flip(3), x)
    if shift:
        black = (0 - MEAN) / STD
        padded = F.pad(x, [shift] * 4, value=black)
        moves = torch.randint(0, 2 * shift + 1, (2, len(x)), generator=rng)
        rows = (moves[0][:, None] + torch.arange(28))[:, :, None]
        cols = (moves[1][:, None] + torch.arange(28))[:, None, :]
        x = padded[torch.arange(len(x))[:, None, None], 0, rows, cols][:, None]
    return x


def predict(model, x, batch=500):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part) for part in x.split(batch)])


def accuracy(model, x, y):
    return (predict(model, x).argmax(1) == y).double().mean().item()


def checkpoint_path(cache, name):
    return Path(cache) / f"{name}-{recipe_key(name)}.pt"


def load_trained(cache, name):
    """The trained network, from the cache; None if it is not there or not finished."""
    path = checkpoint_path(cache, name)
    if not path.exists():
        return None
    state = torch.load(path)
    if state["epoch"] < RECIPES[name]["epochs"]:
        return None
    model = build(RECIPES[name])
    model.load_state_dict(state["model"])
    return model.eval()


def start(cache, name):
    """The network before its first step: initialised, and over that the base's weights but its head's."""
    r = RECIPES[name]
    model = build(r)
    if r["base"]:
        base = load_trained(cache, r["base"])
        trunk = {k: v for k, v in base.state_dict().items() if not k.startswith("fc.")}
        missing = model.load_state_dict(trunk, strict=False).missing_keys
        assert sorted(missing) == ["fc.bias", "fc.weight"], missing
    return model


def training_images(data_dir, r):
    """What a recipe trains on: all training images, or as many of the first as it says."""
    images, labels = load_split(data_dir, "train")
    first = r.get("train_images")
    return images[:first], labels[:first]


def train(cache, name, data_dir):
    """Trains one network (and its base before it), or takes it from the cache."""
    model = load_trained(cache, name)
    if model is not None:
        return model
    r = RECIPES[name]
    if r["base"]:
        train(cache, r["base"], data_dir)
    x, y = of_classes(*training_images(data_dir, r), r["classes"])
    model = start(cache, name)
    trained, frozen = model, r["train"] == "head"
    if frozen:
        # The trunk stays in eval mode: neither its weights nor its BatchNorm statistics change, so
        # its features are computed once.
        model.eval()
        with torch.no_grad():
            x = torch.cat([model.features(part) for part in x.split(500)])
        trained = model.fc

    steps = math.ceil(len(x) / r["batch"])
    optimiser = torch.optim.SGD(trained.parameters(), lr=r["max_lr"], momentum=0.9, nesterov=True,
                                weight_decay=r["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, r["max_lr"], epochs=r["epochs"],
                                                   steps_per_epoch=steps, pct_start=0.25)
    first, path = 0, checkpoint_path(cache, name)
    if path.exists():
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["epoch"]
    for epoch in range(first, r["epochs"]):
        began, total = time.monotonic(), 0.0
        rng = torch.Generator().manual_seed(r["train_seed"] * 1000 + epoch)
        trained.train()
        for picks in torch.randperm(len(x), generator=rng).split(r["batch"]):
            optimiser.zero_grad(set_to_none=True)
            logits = trained(augment(x[picks], r["flip"], r["shift"], rng))
            loss = F.cross_entropy(logits, y[picks], label_smoothing=r.get("label_smoothing", 0.0))
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(picks)
        log(f"{name}: epoch {epoch + 1} of {r['epochs']}, loss {total / len(x):.4f}, "
            f"{time.monotonic() - began:.0f} s")
        with atomic(path) as temp:
            torch.save({"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict(),
                        "schedule": schedule.state_dict()}, temp)
    return load_trained(cache, name)


# ---------------------------------------------------------------------------------------------------
# Export, and what is checked about a file
# ---------------------------------------------------------------------------------------------------

def export(model, path):
    """As people do it: eval mode, defaults (constants and BatchNorms folded), a free batch axis."""
    model.eval()
    torch.onnx.export(model, torch.zeros(2, 1, 28, 28), str(path), opset_version=OPSET,
                      input_names=["input"], output_names=["logits"],
                      dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}})


def verify(model, path, x):
    """Checks an exported file; returns what was measured for the manifest."""
    if b"BatchNormalization" in Path(path).read_bytes():
        raise AssertionError(f"{path}: a BatchNormalization was not folded")
    try:
        import onnx
        import onnxruntime
    except ImportError as e:
        log(f"{Path(path).name}: not compared with torch ({e})")
        return None
    onnx.checker.check_model(onnx.load(str(path)), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for n in (1, 2, 7, len(x)):
        got = session.run(["logits"], {"input": x[:n].numpy()})[0]
        want = predict(model, x[:n]).numpy()
        scale = np.abs(want).max()
        diff = np.abs(got - want).max() / scale
        if got.shape != want.shape or not diff < 1e-4:
            raise AssertionError(f"{path}: batch {n}: differs from torch by {diff:.1e} of the largest logit")
        worst = max(worst, float(diff))
    return {"engine": f"onnxruntime {onnxruntime.__version__}", "batches": [1, 2, 7, len(x)],
            "max_diff_over_max_logit": float(f"{worst:.1e}")}


def origin(name):
    r = RECIPES[name]
    out = {"architecture": r["title"], "init_seed": r["init_seed"], "train_seed": r["train_seed"]}
    if r["base"]:
        b = RECIPES[r["base"]]
        out["base"] = {"name": r["base"], "recipe_key": recipe_key(r["base"]), "init_seed": b["init_seed"],
                       "train_seed": b["train_seed"], "epochs": b["epochs"], "max_lr": b["max_lr"],
                       "classes": b["classes"]}
        out["init_seed_of"] = "the head alone; the trunk starts from the base"
    out["recipe"] = {
        "data": "Fashion-MNIST training images of the classes",
        "trained": {"all": "all weights", "head": "the last linear layer; trunk and BatchNorm statistics frozen"}[r["train"]],
        "loss": "cross-entropy", "optimiser": "SGD, Nesterov momentum 0.9", "schedule": "OneCycle",
        **{k: r[k] for k in ("epochs", "batch", "max_lr", "weight_decay")},
        "augmentation": {"horizontal_flip": r["flip"], "shift_pixels": r["shift"]},
    }
    out["recipe_key"] = recipe_key(name)
    out["exporter"] = f"torch.onnx.export (TorchScript), opset {OPSET}, eval mode, constant folding"
    return out


def make_model(cache, data_dir, out_dir, name):
    """Trains, exports, checks and measures one model; its manifest entry goes into the cache."""
    torch.set_num_threads(1)
    model = train(cache, name, data_dir)
    if name in HIDDEN:
        return
    target = Path(out_dir) / file_of(name)
    x, y = of_classes(*load_split(data_dir, "test"), RECIPES[name]["classes"])
    with atomic(target) as temp:
        export(model, temp)
        check = verify(model, temp, x[:500])
        entry = {
            "file": target.name,
            "sha256": sha256_of(temp),
            "bytes": temp.stat().st_size,
            "parameters": count_parameters(model),
            "classes": RECIPES[name]["classes"],
            "class_names": [CLASS_NAMES[c] for c in RECIPES[name]["classes"]],
            "accuracy": {"value": round(accuracy(model, x, y), 4), "samples": len(x),
                         "data": "all Fashion-MNIST test images of the classes"},
            "input": {"name": "input", "dtype": "float32", "shape": ["batch", 1, 28, 28]},
            "output": {"name": "logits", "dtype": "float32", "shape": ["batch", len(RECIPES[name]["classes"])]},
            "origin": {**origin(name), "torch": torch.__version__},
            "compared_with_torch": check,
        }
    with atomic(entry_path(cache, name)) as temp:
        temp.write_text(json.dumps(entry))
    log(f"{target.name}: accuracy {100 * entry['accuracy']['value']:.2f} %, {entry['bytes']:,} bytes")


def count_parameters(model):
    """Weights and biases of the exported graph: a folded BatchNorm leaves one bias per channel."""
    n = 0
    for m in model.modules():
        if isinstance(m, nn.Linear):
            n += m.weight.numel() + m.bias.numel()
        elif isinstance(m, nn.Conv2d):
            n += m.weight.numel() + m.out_channels
    return n


def entry_path(cache, name):
    return Path(cache) / f"{name}-{recipe_key(name)}.json"


# ---------------------------------------------------------------------------------------------------
# Data files and the manifest
# ---------------------------------------------------------------------------------------------------

def balanced(labels, per_class, rng):
    """So many samples of each class, in random order."""
    picks = [rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in ALL_CLASSES]
    return rng.permutation(np.concatenate(picks))


def save_npz(path, **arrays):
    """What np.savez_compressed writes, but with a fixed date, so the same arrays give the same bytes."""
    with atomic(path) as temp, zipfile.ZipFile(temp, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        for name, array in arrays.items():
            raw = io.BytesIO()
            np.lib.format.write_array(raw, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            z.writestr(info, raw.getvalue())


def make_data(data_dir, out_dir):
    rng = np.random.default_rng(DATA_SEED)
    images, labels = load_split(data_dir, "train")
    picks = balanced(labels, CALIB_PER_CLASS, rng)
    save_npz(Path(out_dir) / "fmnist_calib.npz", input=images[picks])
    images, labels = load_split(data_dir, "test")
    picks = balanced(labels, TEST_PER_CLASS, rng)
    save_npz(Path(out_dir) / "fmnist_test.npz", input=images[picks], label=labels[picks])


def ensemble_accuracy(cache, out_dir, pair):
    """Both models as they are, without knowing the task: softmax inside each head, argmax over all ten."""
    with np.load(Path(out_dir) / "fmnist_test.npz") as z:
        x, label = torch.from_numpy(z["input"]), z["label"]
    probs, classes = [], []
    for name in members(pair):
        probs.append(predict(load_trained(cache, name), x).softmax(1))
        classes += RECIPES[name]["classes"]
    guess = np.array(classes)[torch.cat(probs, 1).argmax(1).numpy()]
    return float((guess == label).mean())


def onnx_initializers(path):
    """Name -> bytes of a file's initialisers; None without the onnx package."""
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.load(str(path)).graph
    return {t.name: t.SerializeToString() for t in graph.initializer}


def trunk_tensors(out_dir, pair):
    """How many tensors of a pair's two files are equal and how many differ, heads excluded."""
    a, b = (onnx_initializers(Path(out_dir) / file_of(n)) for n in members(pair))
    if a is None:
        return None
    trunk = [k for k in a if not k.startswith("fc.")]
    equal = sum(a[k] == b.get(k) for k in trunk)
    return {"equal": equal, "different": len(trunk) - equal}


def read_manifest(out_dir):
    path = Path(out_dir) / "manifest.json"
    return json.loads(path.read_text()) if path.exists() else {"models": [], "pairs": []}


def known_entry(cache, out_dir, name):
    """What is known about the file of a model as it lies there: from the cache, else from the manifest.
    None if the file is missing, is another one, or was made by another recipe."""
    path, candidates = Path(out_dir) / file_of(name), []
    if not path.exists():
        return None
    if entry_path(cache, name).exists():
        candidates.append(json.loads(entry_path(cache, name).read_text()))
    candidates += read_manifest(out_dir)["models"]
    for c in candidates:
        if (c["file"], c["sha256"], c["origin"]["recipe_key"]) == (path.name, sha256_of(path), recipe_key(name)):
            return c
    return None


def data_entry(out_dir, file):
    path = Path(out_dir) / file
    with np.load(path) as z:
        arrays = {k: {"dtype": str(z[k].dtype), "shape": list(z[k].shape)} for k in z.files}
    text = {"fmnist_calib.npz": "training images, the same number of each class, shuffled, no labels",
            "fmnist_test.npz": "test images, the same number of each class, shuffled; label: the class 0..9"}
    return {"file": file, "sha256": sha256_of(path), "bytes": path.stat().st_size, "arrays": arrays,
            "seed": DATA_SEED, "from": text[file]}


def pair_entry(cache, out_dir, pair):
    """A pair's entry; the old one where the checkpoints that it was measured on are gone."""
    if any(load_trained(cache, name) is None for name in members(pair)):
        return next((p for p in read_manifest(out_dir)["pairs"] if p["name"] == pair), None)
    files = [file_of(n) for n in members(pair)]
    entry = {"name": pair, "kind": PAIRS[pair], "members": files, "classes": list(CLASSES.values())}
    tensors = trunk_tensors(out_dir, pair)
    if tensors:
        entry["trunk_tensors"] = tensors
        if PAIRS[pair] == "frozen_trunk" and tensors["different"]:
            raise AssertionError(f"{pair}: the frozen trunks differ: {tensors}")
    entry["ensemble_joint_accuracy"] = {"value": ensemble_accuracy(cache, out_dir, pair),
                                        "samples": 10 * TEST_PER_CLASS, "data": "fmnist_test.npz"}
    return entry


def to_json(value):
    """Indented JSON, with lists of numbers and words on one line."""
    text = json.dumps(value, indent=2)
    flat = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")
    return flat.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


def write_manifest(cache, out_dir):
    """The manifest of all that is there; a file that nothing is known about is left out, and named."""
    out_dir = Path(out_dir)
    torch.set_num_threads(1)
    entries = {n: known_entry(cache, out_dir, n) for n in RECIPES if n not in HIDDEN}
    for name, entry in entries.items():
        if entry is None and (out_dir / file_of(name)).exists():
            log(f"{file_of(name)} is not what its recipe made; left out of the manifest")
    models = [e for e in entries.values() if e]
    pairs = [pair_entry(cache, out_dir, p) for p in PAIRS if all(entries[n] for n in members(p))]
    pairs = [p for p in pairs if p]
    data = [data_entry(out_dir, file) for file in DATA_FILES]
    manifest = {
        "schema": 1,
        "made_by": "make_models.py",
        "dataset": {"name": "Fashion-MNIST", "licence": "MIT", "owner": "Zalando SE", "class_names": CLASS_NAMES,
                    "input": f"(pixel / 255 - {MEAN:.4f}) / {STD:.4f}, float32 [N,1,28,28]"},
        "tasks": CLASSES, "pairs": pairs, "models": models, "data": data,
    }
    with atomic(out_dir / "manifest.json") as temp:
        temp.write_text(to_json(manifest))


# ---------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------

def log(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def main():
    default_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onnx-zip" / "models"
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--only", action="append", metavar="NAME", help="a model or a pair; may repeat")
    p.add_argument("--dataset", default=DATA_DIR, metavar="DIR", help="the four idx .gz files (default: %(default)s)")
    p.add_argument("--out", default=str(HERE), metavar="DIR", help="where the files go (default: this folder)")
    p.add_argument("--cache", default=str(default_cache), metavar="DIR", help="trained checkpoints")
    p.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at once, one thread each (default: 2)")
    p.add_argument("--force", action="store_true", help="write again what is there, from the cache where it can")
    p.add_argument("--list", action="store_true", help="list the names and stop")
    args = p.parse_args()

    if args.list:
        for name in RECIPES:
            done = "trained" if load_trained(args.cache, name) is not None else "not trained"
            print(f"{name}\t{recipe_key(name)}\t{done}")
        return
    wanted = [n for n in RECIPES if n not in HIDDEN]
    if args.only:
        groups = {**{n: [n] for n in RECIPES}, **{pair: members(pair) for pair in PAIRS}}
        unknown = [n for n in args.only if n not in groups]
        if unknown:
            p.error(f"unknown name {', '.join(unknown)}; known: {', '.join(groups)}")
        wanted = [n for g in args.only for n in groups[g]]

    if args.force or not all((Path(args.out) / file).exists() for file in DATA_FILES):
        make_data(args.dataset, args.out)
    todo = [n for n in wanted if args.force or not known_entry(args.cache, args.out, n)]
    bases = {RECIPES[n]["base"] for n in todo} - {None}
    # Bases, and what needs none, before what starts from them: no base is trained twice at a time.
    first = [n for n in RECIPES if n in bases or (n in todo and not RECIPES[n]["base"])]
    for wave in (first, [n for n in todo if n not in first]):
        with ProcessPoolExecutor(max(1, args.jobs), mp_context=multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(make_model, args.cache, args.dataset, args.out, n) for n in wave]
            for job in jobs:
                job.result()
    write_manifest(args.cache, args.out)


if __name__ == "__main__":
    main()
