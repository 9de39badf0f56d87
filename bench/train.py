#!/usr/bin/env python3
"""Trains the pairs of the accuracy benchmark and makes its data, in a folder outside the repository.

    python3 bench/train.py                      everything that is not there yet, the cheap pairs first
    python3 bench/train.py --only resnet20w8    one family (or one pair: --only vgg-1)
    python3 bench/train.py --list               the names, and whether each is trained

Training, checkpoints and export are those of testdata/models/make_models.py; here are only the recipes. Needs torch (made
with 1.13), numpy and the Fashion-MNIST files; nothing else of the project needs Python.
"""

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "testdata" / "models"))
import make_models as mm  # noqa: E402

# The last 10,000 training images are never trained on: the choices of the benchmark are made on them.
TRAIN_IMAGES = 50_000
CALIB_PER_CLASS, DATA_SEED = 64, 17
SEEDS = (0, 1, 2)

TWO = {"a": [0, 3, 4, 7, 8], "b": [1, 2, 5, 6, 9]}
FIVE = {"a": [0, 1], "b": [2, 3], "c": [4, 5], "d": [6, 7], "e": [8, 9]}


# ---------------------------------------------------------------------------------------------------
# Architectures that make_models does not have
# ---------------------------------------------------------------------------------------------------

class InvertedResidual(nn.Module):
    """1x1 to expand, 3x3 depthwise, 1x1 to project; a shortcut where the shape stays."""

    def __init__(self, cin, cout, stride, expand):
        super().__init__()
        mid = cin * expand
        self.expand = mm.conv_bn(cin, mid, 1)
        self.depthwise = nn.Sequential(nn.Conv2d(mid, mid, 3, stride, 1, groups=mid, bias=False), nn.BatchNorm2d(mid))
        self.project = mm.conv_bn(mid, cout, 1)
        self.same = cin == cout and stride == 1

    def forward(self, x):
        y = self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        return x + y if self.same else y


class MobileNet(nn.Module):
    """MobileNetV2's shape at the size of Fashion-MNIST: three stages of two blocks, strides 1, 2 and 2."""

    def __init__(self, outputs, width, expand):
        super().__init__()
        self.stem = mm.conv_bn(1, width)
        blocks, cin = [], width
        for stage in range(3):
            for block in range(2):
                cout = width << stage
                blocks.append(InvertedResidual(cin, cout, 2 if stage > 0 and block == 0 else 1, expand))
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.last = mm.conv_bn(cin, 2 * cin, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2 * cin, outputs)

    def forward(self, x):
        x = F.relu6(self.last(self.blocks(F.relu6(self.stem(x)))))
        return self.fc(torch.flatten(self.pool(x), 1))


class EncoderBlock(nn.Module):
    """LayerNorm, attention, LayerNorm, MLP, as in ViT; plain operators, so that every exporter writes them alike."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def split(self, x):
        return x.view(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def forward(self, x):
        y = self.norm1(x)
        q, k, v = self.split(self.q(y)), self.split(self.k(y)), self.split(self.v(y))
        a = torch.softmax(q @ k.transpose(2, 3) * (q.shape[3] ** -0.5), 3) @ v
        x = x + self.out(a.transpose(1, 2).reshape(x.shape[0], -1, x.shape[2]))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """A small vision transformer: patches of 4x4, learned positions, the mean of all tokens into the head."""

    def __init__(self, outputs, width, heads, hidden, blocks):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, 49, width) * 0.02)
        self.blocks = nn.Sequential(*[EncoderBlock(width, heads, hidden) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.fc(self.norm(self.blocks(x)).mean(1))


mm.ARCHITECTURES.update(mobilenet=MobileNet, vit=ViT)


# ---------------------------------------------------------------------------------------------------
# Recipes
# ---------------------------------------------------------------------------------------------------

# family -> title, architecture, its arguments, tasks, seed of the first model, training
FAMILIES = {
    "mlp64": ("MLP 784-64-64-64-5", "mlp", {"hidden": [64] * 3}, TWO, 1100, dict(epochs=8, max_lr=0.1)),
    "mlp128": ("MLP 784-128-128-128-5", "mlp", {"hidden": [128] * 3}, TWO, 1200, dict(epochs=8, max_lr=0.1)),
    "vgg": ("VGG, convolutions 16 16 32 32 64 64, dense 64", "vgg", {"widths": [16, 32, 64], "hidden": 64}, TWO, 1300,
            dict(epochs=4, max_lr=0.1)),
    "resnet20w8": ("ResNet-20, widths 8/16/32", "resnet", {"width": 8, "blocks": 3}, TWO, 1400, dict(epochs=4, max_lr=0.2)),
    "resnet20w16": ("ResNet-20, widths 16/32/64", "resnet", {"width": 16, "blocks": 3}, TWO, 1500,
                    dict(epochs=4, max_lr=0.2)),
    "mobilenet": ("MobileNetV2-like, widths 16/32/64, expansion 4", "mobilenet", {"width": 16, "expand": 4}, TWO, 1700,
                  dict(epochs=4, max_lr=0.1)),
    "vit": ("ViT, width 48, 4 heads, 4 blocks, patches of 4", "vit", {"width": 48, "heads": 4, "hidden": 96, "blocks": 4},
            TWO, 1800, dict(epochs=6, max_lr=0.05, weight_decay=1e-4)),
    "five": ("five MLPs 784-128-128-128-2 of two classes each", "mlp", {"hidden": [128] * 3}, FIVE, 1900,
             dict(epochs=8, max_lr=0.1)),
    "resnet20w32": ("ResNet-20, widths 32/64/128", "resnet", {"width": 32, "blocks": 3}, TWO, 1600,
                    dict(epochs=4, max_lr=0.2)),
}


def make_recipes():
    """name -> recipe, in the order in which they are trained: the cheap families, seed by seed, first."""
    out = {}
    quick = ("mlp64", "mlp128", "vgg", "resnet20w8")
    order = [(f, s) for s in SEEDS for f in quick] + [(f, s) for f in FAMILIES if f not in quick for s in SEEDS]
    for family, seed in order:
        title, arch, args, tasks, first, training = FAMILIES[family]
        for i, (task, classes) in enumerate(tasks.items()):
            r = mm.recipe(title, arch, args, classes, first + 10 * seed + i, **training)
            out[f"{family}-{seed}-{task}"] = {**r, "train_images": TRAIN_IMAGES}
    return out


mm.RECIPES = make_recipes()


# ---------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------

def make_data(data_dir, out_dir):
    """calib.npz: unlabelled training images, the same number of each class. valid.npz: training images that no model was
    trained on. test.npz: the test images."""
    images, labels = mm.load_split(data_dir, "train")
    test, test_labels = mm.load_split(data_dir, "test")
    picks = mm.balanced(labels[:TRAIN_IMAGES], CALIB_PER_CLASS, np.random.default_rng(DATA_SEED))
    files = {"calib.npz": {"input": images[picks]},
             "valid.npz": {"input": images[TRAIN_IMAGES:], "label": labels[TRAIN_IMAGES:]},
             "test.npz": {"input": test, "label": test_labels}}
    for name, arrays in files.items():
        if not (Path(out_dir) / name).exists():
            mm.save_npz(Path(out_dir) / name, **arrays)


def write_plan(out_dir):
    """plan.json: every pair of the benchmark, trained or not, for the tables to say what is missing."""
    plan = [{"family": f, "title": title, "seeds": list(SEEDS), "tasks": tasks}
            for f, (title, _, _, tasks, _, _) in FAMILIES.items()]
    with mm.atomic(Path(out_dir) / "plan.json") as temp:
        temp.write_text(json.dumps(plan, indent=1) + "\n")


def entry_path(out_dir, name):
    return Path(out_dir) / f"{name}.json"


def is_made(out_dir, name):
    path = entry_path(out_dir, name)
    return path.exists() and json.loads(path.read_text())["recipe_key"] == mm.recipe_key(name)


def make_model(cache, data_dir, out_dir, name):
    """Trains, exports and checks one model, then writes what is known about it beside it."""
    torch.set_num_threads(1)
    r = mm.RECIPES[name]
    model = mm.train(cache, name, data_dir)
    x, y = mm.of_classes(*mm.load_split(data_dir, "test"), r["classes"])
    target = Path(out_dir) / f"{name}.onnx"
    with mm.atomic(target) as temp:
        mm.export(model, temp)
        mm.verify(model, temp, x[:200])
    family, seed, task = name.rsplit("-", 2)
    entry = {"file": target.name, "family": family, "title": r["title"], "seed": int(seed), "task": task,
             "classes": r["classes"], "epochs": r["epochs"], "init_seed": r["init_seed"], "recipe_key": mm.recipe_key(name),
             "sha256": mm.sha256_of(target), "torch": torch.__version__}
    with mm.atomic(entry_path(out_dir, name)) as temp:
        temp.write_text(json.dumps(entry, indent=1))
    mm.log(f"{target.name}: accuracy {100 * mm.accuracy(model, x, y):.2f} %")


def main():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onnx-zip"
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--only", action="append", metavar="NAME", help="a family, a pair or a model; may repeat")
    p.add_argument("--dataset", default=mm.DATA_DIR, metavar="DIR", help="the four idx .gz files (default: %(default)s)")
    p.add_argument("--out", default=str(cache / "bench"), metavar="DIR", help="models and data (default: %(default)s)")
    p.add_argument("--cache", default=str(cache / "models"), metavar="DIR", help="trained checkpoints (default: %(default)s)")
    p.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at once, one thread each (default: 2)")
    p.add_argument("--list", action="store_true", help="list the names and stop")
    args = p.parse_args()
    wanted = [n for n in mm.RECIPES
              if not args.only or any(n == o or n.startswith(o + "-") for o in args.only)]
    if not wanted:
        p.error(f"nothing is called {', '.join(args.only)}; --list shows the names")
    if args.list:
        for name in wanted:
            print(f"{name}\t{mm.recipe_key(name)}\t{'made' if is_made(args.out, name) else 'missing'}")
        return
    make_data(args.dataset, args.out)
    write_plan(args.out)
    todo = [n for n in wanted if not is_made(args.out, n)]
    with ProcessPoolExecutor(max(1, args.jobs), mp_context=multiprocessing.get_context("spawn")) as pool:
        for job in [pool.submit(make_model, args.cache, args.dataset, args.out, n) for n in todo]:
            job.result()


if __name__ == "__main__":
    main()
