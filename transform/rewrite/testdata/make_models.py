#!/usr/bin/env python3
"""Makes the models of this folder: one tiny network each, as PyTorch's exporters write it.

    python3 make_models.py

It needs torch (1.13 made these). Weights, biases and BatchNorm statistics are distinct random numbers, since
defaults (ones, zeros, equal tensors) would hide mistakes. Files that share the part of their name before the
double underscore hold one network, exported in several ways: their canonical forms must be alike.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.onnx import TrainingMode

HERE = Path(__file__).resolve().parent


def randomize(model, seed):
    """Gives every parameter and buffer distinct values, variances and scales around one."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, t in list(model.named_parameters()) + list(model.named_buffers()):
            if not t.is_floating_point():
                continue
            u = torch.rand(t.shape, generator=g)
            if name.endswith("running_var") or t.dim() == 1 and name.endswith("weight"):
                t.copy_(0.5 + u)
            elif t.dim() > 1:
                t.copy_((2 * u - 1) * (3 / t[0].numel()) ** 0.5)
            else:
                t.copy_(u - 0.5)
    return model.eval()


class Small(nn.Module):
    """Conv, BatchNorm, pooling, a hidden linear map with BatchNorm and Dropout, and a head."""

    def __init__(self, flatten):
        super().__init__()
        self.flatten = flatten
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 12, 3, stride=2, groups=2), nn.BatchNorm2d(12)
        self.hidden, self.bn3 = nn.Linear(12, 16, bias=False), nn.BatchNorm1d(16)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.flatten(x)
        return self.head(self.drop(F.relu(self.bn3(self.hidden(x)))))


def by_view(x):
    x = F.adaptive_avg_pool2d(x, 1)
    return x.view(x.size(0), -1)


def by_flatten(x):
    return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)


def by_mean(x):
    return x.mean([2, 3])


def by_squeeze(x):
    return F.avg_pool2d(x, 4).squeeze(3).squeeze(2)


class PreActivation(nn.Module):
    """A residual block whose BatchNorms come first: they cannot be folded into the node before."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.bn1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.last = nn.BatchNorm2d(8)

    def forward(self, x):
        x = self.stem(x)
        y = self.conv1(F.relu(self.bn1(x)))
        x = x + self.conv2(F.relu(self.bn2(y)))
        return F.relu(self.last(x)).mean([2, 3])


class Decoder(nn.Module):
    """Depthwise convolutions, transposed ones with groups, scales and shifts by hand."""

    def __init__(self):
        super().__init__()
        self.depth, self.bn1 = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6)
        self.up, self.bn2 = nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), nn.BatchNorm2d(4)
        self.up2, self.bn3 = nn.ConvTranspose2d(4, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x):
        x = F.relu6(self.bn1(self.depth(x)))
        x = F.leaky_relu(self.bn2(self.up(x)))
        return torch.sigmoid(self.bn3(self.up2(x)) * self.scale + self.shift)


class Tokens(nn.Module):
    """Embeddings tied to the output, LayerNorm, linear maps of rank 3, Dropout."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.drop = nn.Dropout(0.1)

    def forward(self, ids):
        x = self.table(ids)
        x = x + self.drop(self.down(F.gelu(self.up(self.norm(x)))))
        b, t, c = x.shape
        x = x.reshape(b, t, 2, c // 2).transpose(1, 2).reshape(b, 2, -1).reshape(b, 2, t, c // 2).transpose(1, 2).reshape(b, t, c)
        return F.linear(x, self.table.weight)


def export(name, model, x, opset=13, axes=(0,), **kw):
    torch.onnx.export(model, x, str(HERE / (name + ".onnx")), opset_version=opset, input_names=["input"],
                      output_names=["output"], dynamic_axes={"input": {i: "d%d" % i for i in axes}, "output": {0: "d0"}}, **kw)


def main():
    image = torch.randn(2, 3, 10, 10)
    kept = dict(training=TrainingMode.PRESERVE, do_constant_folding=False)
    for name, how in [("view", by_view), ("flatten", by_flatten), ("mean", by_mean), ("squeeze", by_squeeze)]:
        model = randomize(Small(how), 1)
        export("small__" + name, model, image)
        export("small__%s_kept" % name, model, image, **kept)
    model = randomize(Small(by_flatten), 1)
    export("small__inputs", model, image, opset=9, keep_initializers_as_inputs=True, do_constant_folding=False)
    export("small__opset16", model, image, opset=16, **kept)
    block = randomize(PreActivation(), 2)
    export("preact__folded", block, image)
    export("preact__kept", block, image, **kept)
    decoder = randomize(Decoder(), 3)
    export("decoder__folded", decoder, torch.randn(2, 6, 5, 5))
    export("decoder__kept", decoder, torch.randn(2, 6, 5, 5), **kept)
    tokens = randomize(Tokens(), 4)
    ids = torch.randint(0, 20, (2, 7))
    # Two networks by what the files say: folding the transposed table makes it another tensor.
    export("tokens__folded", tokens, ids, axes=(0, 1))
    export("tied__kept", tokens, ids, axes=(0, 1), **kept)


if __name__ == "__main__":
    main()
