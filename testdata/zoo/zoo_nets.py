"""The networks of the zoo, as small as their structure allows.

Where torchvision, timm or transformers has the architecture, its code is used, with reduced widths: either
by its own arguments, or by `shrunk`, which makes every layer k times narrower while the model is built. The
rest is written here after the papers. Each builder takes the number of classes and returns a module; `ARCHS`
at the end lists them with their inputs and outputs. Weights do not matter here: `randomise` sets them all.
"""

import contextlib
import hashlib
import math
from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


# ---------------------------------------------------------------------------------------------------
# Helpers
# ---------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def shrunk(k, **special):
    """While this is open, torch.nn's layers come out k times narrower: every number of channels or features
    that k divides. `n4096=40` sets what a layer that asks for 4096 gets."""
    special = {int(name[1:]): size for name, size in special.items()}

    def size(n):
        return special.get(n, n // k if n % k == 0 else n)

    class Conv2d(nn.Conv2d):
        def __init__(self, cin, cout, *args, **kwargs):
            if kwargs.get("groups", 1) == cin > 1:
                kwargs["groups"] = size(cin)
            super().__init__(size(cin), size(cout), *args, **kwargs)

    class BatchNorm2d(nn.BatchNorm2d):
        def __init__(self, n, *args, **kwargs):
            super().__init__(size(n), *args, **kwargs)

    class Linear(nn.Linear):
        def __init__(self, cin, cout, *args, **kwargs):
            super().__init__(size(cin), size(cout), *args, **kwargs)

    kept = {c: getattr(nn, c) for c in ("Conv2d", "BatchNorm2d", "Linear")}
    nn.Conv2d, nn.BatchNorm2d, nn.Linear = Conv2d, BatchNorm2d, Linear
    try:
        yield
    finally:
        for name, original in kept.items():
            setattr(nn, name, original)


def randomise(model, seed, gain):
    """Gives every parameter and every BatchNorm statistic its own random values; no two tensors are alike
    and none is a default. The values depend on the seed and the tensor's name only.
    `gain` is the scale of the weights: with too little, deep networks forget their input."""

    done = set()

    def fill(name, tensor, draw):
        if tensor is None or not tensor.is_floating_point() or tensor.data_ptr() in done:
            return  # tied tensors are filled once
        done.add(tensor.data_ptr())
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        values = draw(rng, tuple(tensor.shape)).astype(np.float32)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values))

    def uniform(low, high):
        return lambda rng, shape: rng.uniform(low, high, shape)

    def normal(scale, mean=0.0):
        return lambda rng, shape: mean + scale * rng.standard_normal(shape)

    for prefix, module in model.named_modules():
        kind = type(module).__name__
        prefix = prefix + "." if prefix else ""
        norm = "Norm" in kind and not isinstance(module, nn.Sequential)
        for name, p in module.named_parameters(recurse=False):
            # Two names that weight normalisation has had.
            name = {"original0": "weight_g", "original1": "weight_v"}.get(name, name)
            full = (prefix + name).replace("parametrizations.weight.", "")
            if norm and p.dim() == 1:
                fill(full, p, uniform(0.5, 1.5) if "weight" in name else normal(0.2))
            elif kind == "PReLU":
                fill(full, p, uniform(0.1, 0.4))
            elif "layer_scale" in name or name in ("gamma", "lambda1", "gamma_1", "gamma_2", "weight_g"):
                fill(full, p, uniform(0.4, 1.2))
            elif kind == "Embedding":
                fill(full, p, normal(0.6))
            elif "weight" in name:
                shape = tuple(p.shape)
                fan = int(np.prod(shape[1:]))
                if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
                    fan = shape[0]
                elif kind == "Conv1D":  # transformers' own: [in, out]
                    fan = shape[0]
                fill(full, p, normal(gain / np.sqrt(max(fan, 1))))
            elif "bias" in name and p.dim() == 1:
                fill(full, p, normal(0.15))
            else:  # class tokens, position embeddings, tables of relative positions
                fill(full, p, normal(0.4))
        for name, b in module.named_buffers(recurse=False):
            if name == "running_mean":
                fill(prefix + name, b, normal(0.3))
            elif name == "running_var":
                fill(prefix + name, b, uniform(0.5, 2.0))
    return model


class Normalise(nn.Module):
    """The preprocessing that some files carry inside: (x - mean) / deviation for each channel."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, x):
        return (x - self.mean) / self.std


def conv_bn(cin, cout, kernel=3, stride=1, act=nn.ReLU):
    layers = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, act()) if act else nn.Sequential(*layers)


# ---------------------------------------------------------------------------------------------------
# Convolutional networks, by torchvision and timm
# ---------------------------------------------------------------------------------------------------

def resnet(block, layers, **kwargs):
    def build(classes):
        from torchvision.models import resnet as tv
        with shrunk(16, n128=8, n256=12, n512=16, n1024=24, n2048=32):
            return tv.ResNet(getattr(tv, block), layers, num_classes=classes, **kwargs)
    return build


def vgg(batch_norm):
    def build(classes):
        from torchvision.models import vgg as tv
        with shrunk(16, n512=12, n25088=588, n4096=24):
            features = tv.make_layers([64, "M", 128, 128, "M", 256, 512, "M"], batch_norm=batch_norm)
            return tv.VGG(features, num_classes=classes, init_weights=False)
    return build


def alexnet(classes):
    import torchvision
    with shrunk(16, n256=10, n9216=360, n4096=24):
        return torchvision.models.AlexNet(num_classes=classes)


def squeezenet(classes):
    import torchvision
    with shrunk(8):
        return torchvision.models.SqueezeNet("1_1", num_classes=classes)


def googlenet(classes):
    import torchvision
    with shrunk(16, n16=2, n24=2):
        return torchvision.models.GoogLeNet(num_classes=classes, aux_logits=False, init_weights=False)


def inception_v3(classes):
    import torchvision
    with shrunk(16, n192=9, n320=12, n384=12, n448=12, n768=36, n1280=57, n2048=69):
        return torchvision.models.Inception3(num_classes=classes, aux_logits=False, init_weights=False)


def densenet(classes):
    import torchvision
    return torchvision.models.DenseNet(growth_rate=4, block_config=(4, 6, 6, 4), num_init_features=8, num_classes=classes)


def mobilenet_v2(classes):
    """The full list of blocks, a twelfth of the width; torchvision rounds to multiples of 8, here of 2."""
    from torchvision.models import mobilenetv2 as tv
    original = tv._make_divisible
    tv._make_divisible = lambda v, divisor, min_value=None: max(4, 2 * round(v / 24))
    try:
        return tv.MobileNetV2(num_classes=classes)
    finally:
        tv._make_divisible = original


def mobilenet_v3(classes):
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
    blocks = [  # in, kernel, expanded, out, squeeze-and-excite, activation, stride, dilation
        (8, 3, 8, 8, True, "RE", 2, 1), (8, 3, 24, 8, False, "RE", 2, 1), (8, 3, 32, 8, False, "RE", 1, 1),
        (8, 5, 32, 16, True, "HS", 2, 1), (16, 5, 40, 16, True, "HS", 1, 1), (16, 5, 48, 24, True, "HS", 2, 1),
        (24, 5, 56, 24, True, "HS", 1, 1)]
    return MobileNetV3([InvertedResidualConfig(*b, 1.0) for b in blocks], last_channel=32, num_classes=classes)


def efficientnet(classes):
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig
    blocks = [  # expansion, kernel, stride, in, out, layers
        (1, 3, 1, 8, 8, 1), (6, 3, 2, 8, 8, 2), (6, 5, 2, 8, 8, 2), (4, 3, 2, 8, 16, 1), (4, 5, 1, 16, 16, 1),
        (4, 5, 2, 16, 16, 1), (6, 3, 1, 16, 24, 1)]
    return EfficientNet([MBConvConfig(*b) for b in blocks], dropout=0.2, num_classes=classes, last_channel=40)


def shufflenet_v2(classes):
    import torchvision
    return torchvision.models.ShuffleNetV2([2, 3, 2], [8, 16, 32, 64, 64], num_classes=classes)


def regnet_y(classes):
    from torchvision.models.regnet import BlockParams, RegNet
    params = BlockParams(depths=[1, 2, 2, 1], widths=[8, 16, 24, 32], group_widths=[4, 8, 8, 8],
                         bottleneck_multipliers=[1.0] * 4, strides=[2] * 4, se_ratio=0.25)
    return RegNet(params, num_classes=classes, stem_width=8)


def convnext(classes):
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt
    blocks = [CNBlockConfig(8, 12, 1), CNBlockConfig(12, 16, 1), CNBlockConfig(16, 24, 2), CNBlockConfig(24, None, 1)]
    return ConvNeXt(blocks, num_classes=classes)


def ghostnet(classes):
    from timm.models.ghostnet import GhostNet
    cfgs = [[[3, 8, 8, 0, 1]], [[3, 24, 12, 0, 2]], [[3, 36, 12, 0, 1]], [[5, 36, 16, 0.25, 2]],
            [[5, 48, 16, 0.25, 1]], [[3, 64, 24, 0, 2], [3, 60, 24, 0, 1], [3, 72, 32, 0.25, 1]]]
    m = GhostNet(cfgs, num_classes=classes, width=1.0)
    m.conv_head = nn.Conv2d(m.conv_head.in_channels, 48, 1)  # timm has 1280 here, whatever the width
    m.classifier = nn.Linear(48, classes)
    return m


def preact_resnet(classes):
    from timm.layers import BatchNormAct2d, create_conv2d
    from timm.models.resnetv2 import ResNetV2
    return ResNetV2([1, 2, 2, 1], channels=(16, 32, 48, 64), num_classes=classes, stem_chs=8,
                    conv_layer=create_conv2d, norm_layer=BatchNormAct2d)


# ---------------------------------------------------------------------------------------------------
# Convolutional networks written here
# ---------------------------------------------------------------------------------------------------

class LeNet(nn.Module):
    """LeNet-5 with 48 and 32 units: tanh, average pooling, the flatten sees 5x5 positions of each channel."""

    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 48), nn.Linear(48, 32), nn.Linear(32, classes)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        x = torch.tanh(self.fc1(x.view(x.size(0), -1)))
        return self.fc3(torch.tanh(self.fc2(x)))


class PadShortcut(nn.Module):
    """Option A of He et al.: every second pixel, the missing channels are zeros before and after."""

    def __init__(self, extra):
        super().__init__()
        self.extra = extra

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))


class CifarBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.conv2 = conv_bn(cin, cout, 3, stride), conv_bn(cout, cout, act=None)
        self.shortcut = nn.Identity() if stride == 1 else PadShortcut((cout - cin) // 2)

    def forward(self, x):
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


def cifar_resnet(classes):
    """ResNet-14 for CIFAR with padded shortcuts, widths 6, 12, 24."""
    layers, cin = [conv_bn(3, 6)], 6
    for cout in (6, 12, 24):
        layers += [CifarBlock(cin, cout, 1 if cin == cout else 2), CifarBlock(cout, cout, 1)]
        cin = cout
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, classes))


class WideBlock(nn.Module):
    """The block of Wide ResNet: BatchNorm and ReLU before the convolution, dropout between the two. Where
    the shape changes the shortcut reads the activated input, as in the authors' code."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(cout), nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.dropout = nn.Dropout(0.3)
        self.shortcut = None if cin == cout else nn.Conv2d(cin, cout, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.conv1(y)
        return self.conv2(self.dropout(F.relu(self.bn2(y)))) + shortcut


def wide_resnet(classes):
    """WRN-16 with widths 4, 6, 12, 24."""
    layers, cin = [nn.Conv2d(3, 4, 3, 1, 1, bias=False)], 4
    for stage, cout in enumerate((6, 12, 24)):
        for block in range(2):
            layers.append(WideBlock(cin, cout, 2 if stage and not block else 1))
            cin = cout
    return nn.Sequential(*layers, nn.BatchNorm2d(cin), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(cin, classes))


class UNet(nn.Module):
    """U-Net with BatchNorm: two convolutions a level, ConvTranspose up, the skip is concatenated."""

    def __init__(self, classes, width=6, depth=2):
        super().__init__()
        def double(cin, cout):
            return nn.Sequential(*conv_bn(cin, cout), *conv_bn(cout, cout))
        widths = [width << i for i in range(depth + 1)]
        self.stem = double(3, width)
        self.down = nn.ModuleList(double(a, b) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in zip(widths, widths[1:]))
        self.dec = nn.ModuleList(double(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = [self.stem(x)]
        for down in self.down:
            skips.append(down(F.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for up, dec in zip(reversed(self.up), reversed(self.dec)):
            x = dec(torch.cat([skips.pop(), up(x)], 1))
        return self.head(x)


class UNetBilinear(UNet):
    """The same with bilinear Resize and a 1x1 convolution instead of ConvTranspose."""

    def __init__(self, classes, width=6, depth=2):
        super().__init__(classes, width, depth)
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(2 * c, c, 1))
            for c in (width << i for i in range(depth)))


class Autoencoder(nn.Module):
    """A convolutional autoencoder with a linear code in the middle; two outputs: image and code."""

    def __init__(self, classes):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.LeakyReLU(0.1),
            nn.Flatten(), nn.Linear(12 * 49, 16))
        self.expand = nn.Linear(16, 12 * 49)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(12, 8, 3, 2, 1, output_padding=1), nn.BatchNorm2d(8), nn.ELU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Sigmoid())

    def forward(self, x):
        code = self.encoder(x)
        return self.decoder(F.relu(self.expand(code)).view(-1, 12, 7, 7)), code


def _silu_conv(cin, cout, kernel=1, stride=1):
    return conv_bn(cin, cout, kernel, stride, nn.SiLU)


class Bottleneck(nn.Module):
    def __init__(self, c, shortcut=True):
        super().__init__()
        self.cv1, self.cv2, self.add = _silu_conv(c, c, 1), _silu_conv(c, c, 3), shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


class C3(nn.Module):
    """The cross-stage partial block: half of the channels go through the bottlenecks, then concat."""

    def __init__(self, cin, cout, n=1, shortcut=True):
        super().__init__()
        h = cout // 2
        self.cv1, self.cv2, self.cv3 = _silu_conv(cin, h), _silu_conv(cin, h), _silu_conv(2 * h, cout)
        self.m = nn.Sequential(*(Bottleneck(h, shortcut) for _ in range(n)))

    def forward(self, x):
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class C2f(nn.Module):
    """The later form: one convolution, split in two, every bottleneck's output is concatenated."""

    def __init__(self, cin, cout, n=1, shortcut=True):
        super().__init__()
        h = cout // 2
        self.cv1, self.cv2 = _silu_conv(cin, 2 * h), _silu_conv((2 + n) * h, cout)
        self.m = nn.ModuleList(Bottleneck(h, shortcut) for _ in range(n))

    def forward(self, x):
        y = list(self.cv1(x).chunk(2, 1))
        for m in self.m:
            y.append(m(y[-1]))
        return self.cv2(torch.cat(y, 1))


class SPPF(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cv1, self.cv2, self.pool = _silu_conv(c, c // 2), _silu_conv(2 * c, c), nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        x = self.cv1(x)
        a = self.pool(x)
        b = self.pool(a)
        return self.cv2(torch.cat((x, a, b, self.pool(b)), 1))


class Yolo(nn.Module):
    """A one-stage detector: CSP backbone, SPPF, a path up and a path down, three scales.

    form "anchors": three outputs [N, anchors, H, W, 5 + classes].
    form "dfl": one output [N, 4 + classes, cells]; box sides are expectations of a softmax over 8 bins, by a
    convolution with constant weights, and are added to the cells' centres."""

    def __init__(self, classes, block=C3, form="anchors", size=64, w=4):
        super().__init__()
        self.classes, self.form, self.anchors, self.bins = classes, form, 3, 8
        self.stem, self.d2 = _silu_conv(3, w, 3, 2), _silu_conv(w, 2 * w, 3, 2)
        self.b2, self.d3 = block(2 * w, 2 * w), _silu_conv(2 * w, 3 * w, 3, 2)
        self.b3, self.d4 = block(3 * w, 3 * w, 2), _silu_conv(3 * w, 4 * w, 3, 2)
        self.b4, self.d5 = block(4 * w, 4 * w), _silu_conv(4 * w, 6 * w, 3, 2)
        self.b5, self.sppf = block(6 * w, 6 * w), SPPF(6 * w)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.u4, self.u3 = block(10 * w, 4 * w, 1, False), block(7 * w, 3 * w, 1, False)
        self.n3, self.n4 = _silu_conv(3 * w, 3 * w, 3, 2), _silu_conv(4 * w, 4 * w, 3, 2)
        self.o4, self.o5 = block(7 * w, 4 * w, 1, False), block(10 * w, 6 * w, 1, False)
        widths = (3 * w, 4 * w, 6 * w)
        if form == "anchors":
            self.detect = nn.ModuleList(nn.Conv2d(c, self.anchors * (5 + classes), 1) for c in widths)
        else:
            self.box = nn.ModuleList(nn.Sequential(_silu_conv(c, 2 * w, 3), nn.Conv2d(2 * w, 4 * self.bins, 1)) for c in widths)
            self.cls = nn.ModuleList(nn.Sequential(_silu_conv(c, 2 * w, 3), nn.Conv2d(2 * w, classes, 1)) for c in widths)
            centres, strides = [], []
            for stride in (8, 16, 32):
                axis = torch.arange(size // stride) + 0.5
                ys, xs = torch.meshgrid(axis, axis, indexing="ij")
                centres.append(torch.stack((xs.flatten(), ys.flatten())))
                strides.append(torch.full((1, centres[-1].shape[1]), float(stride)))
            self.register_buffer("centres", torch.cat(centres, 1)[None])
            self.register_buffer("strides", torch.cat(strides, 1)[None])
            self.register_buffer("steps", torch.arange(self.bins, dtype=torch.float32).view(1, self.bins, 1, 1))

    def forward(self, x):
        x = self.b2(self.d2(self.stem(x)))
        p3 = self.b3(self.d3(x))
        p4 = self.b4(self.d4(p3))
        p5 = self.sppf(self.b5(self.d5(p4)))
        t4 = self.u4(torch.cat((self.up(p5), p4), 1))
        f3 = self.u3(torch.cat((self.up(t4), p3), 1))
        f4 = self.o4(torch.cat((self.n3(f3), t4), 1))
        f5 = self.o5(torch.cat((self.n4(f4), p5), 1))
        if self.form == "anchors":
            out = []
            for f, head in zip((f3, f4, f5), self.detect):
                n, _, h, w = f.shape
                out.append(head(f).view(n, self.anchors, 5 + self.classes, h, w).permute(0, 1, 3, 4, 2).contiguous())
            return tuple(out)
        feats = [torch.cat((b(f), c(f)), 1).flatten(2) for f, b, c in zip((f3, f4, f5), self.box, self.cls)]
        box, cls = torch.cat(feats, 2).split((4 * self.bins, self.classes), 1)
        cells = box.shape[2]
        sides = box.view(-1, 4, self.bins, cells).transpose(2, 1).softmax(1)
        sides = F.conv2d(sides, self.steps).view(-1, 4, cells)
        near, far = sides.chunk(2, 1)
        low, high = self.centres - near, self.centres + far
        return torch.cat((torch.cat(((low + high) / 2, high - low), 1) * self.strides, cls.sigmoid()), 1)


class FpnDetector(nn.Module):
    """torchvision's parts: a ResNet-18 body, a feature pyramid, and RetinaNet's heads, whose convolutions
    are used once for each of the three levels."""

    def __init__(self, classes):
        super().__init__()
        from torchvision.models._utils import IntermediateLayerGetter
        from torchvision.models.detection.retinanet import RetinaNetHead
        from torchvision.ops import FeaturePyramidNetwork
        body = resnet("BasicBlock", [1, 1, 1, 1])(classes)
        self.body = IntermediateLayerGetter(body, {"layer2": "0", "layer3": "1", "layer4": "2"})
        self.fpn = FeaturePyramidNetwork([8, 12, 16], 12)
        self.head = RetinaNetHead(12, 3, classes)

    def forward(self, x):
        levels = list(self.fpn(self.body(x)).values())
        out = self.head(levels)
        return out["cls_logits"], out["bbox_regression"]


class DeepLab(nn.Module):
    """torchvision's DeepLabV3: dilated ResNet body, atrous pyramid pooling, bilinear upsampling."""

    def __init__(self, classes):
        super().__init__()
        from torchvision.models._utils import IntermediateLayerGetter
        from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
        body = resnet("Bottleneck", [1, 1, 2, 1], replace_stride_with_dilation=[False, True, True])(classes)
        with shrunk(16, n256=12, n2048=32, n1280=60):
            head = DeepLabHead(2048, classes)
        self.net = DeepLabV3(IntermediateLayerGetter(body, {"layer4": "out"}), head)

    def forward(self, x):
        return self.net(x)["out"]


class LraspWrap(nn.Module):
    """torchvision's LR-ASPP head on a MobileNetV3: a gate from the pooled features, two resolutions added."""

    def __init__(self, classes):
        super().__init__()
        from torchvision.models._utils import IntermediateLayerGetter
        from torchvision.models.segmentation.lraspp import LRASPP
        body = mobilenet_v3(classes).features
        self.net = LRASPP(IntermediateLayerGetter(body, {"2": "low", "8": "high"}), 8, 144, classes, inter_channels=16)

    def forward(self, x):
        return self.net(x)["out"]


# ---------------------------------------------------------------------------------------------------
# MLPs and transformers
# ---------------------------------------------------------------------------------------------------

def mlp(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, classes))


def mlp_norm(classes):
    """With what else is found in MLPs: BatchNorm1d, PReLU for each feature, LayerNorm, GELU, dropout."""
    return nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.PReLU(32), nn.Dropout(0.1), nn.Linear(32, 40, bias=False),
                         nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, classes))


def mlp_mixer(classes):
    from timm.models.mlp_mixer import MlpMixer
    return MlpMixer(num_classes=classes, img_size=32, patch_size=8, num_blocks=2, embed_dim=32)


def vit(classes):
    import torchvision
    return torchvision.models.VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=24,
                                                mlp_dim=48, num_classes=classes)


def deit(classes):
    from timm.models.deit import VisionTransformerDistilled
    return VisionTransformerDistilled(img_size=32, patch_size=8, num_classes=classes, embed_dim=24, depth=2, num_heads=3)


def swin(classes):
    import torchvision
    return torchvision.models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], mlp_ratio=2.0, num_classes=classes)


class Pick(nn.Module):
    """Positional inputs in, a plain tensor (or a tuple) out, around a model of transformers."""

    def __init__(self, model, inputs, outputs=("logits",), **fixed):
        super().__init__()
        self.model, self.inputs, self.outputs, self.fixed = model, inputs, outputs, fixed

    def forward(self, *args):
        out = self.model(**dict(zip(self.inputs, args)), **self.fixed)
        picked = tuple(getattr(out, name) for name in self.outputs)
        return picked if len(picked) > 1 else picked[0]


def _hf(model_class, config_class, inputs, fixed=None, outputs=("logits",), **config):
    def build(classes):
        import transformers
        c = getattr(transformers, config_class)(num_labels=classes, **config)
        return Pick(getattr(transformers, model_class)(c), inputs, outputs, **(fixed or {}))
    return build


BERT = dict(vocab_size=96, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
            max_position_embeddings=32)
bert = _hf("BertForSequenceClassification", "BertConfig", ("input_ids", "attention_mask"), **BERT)
bert_mlm = _hf("BertForMaskedLM", "BertConfig", ("input_ids", "attention_mask", "token_type_ids"), **BERT)
distilbert = _hf("DistilBertForSequenceClassification", "DistilBertConfig", ("input_ids", "attention_mask"),
                 vocab_size=96, dim=24, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=32)
gpt2 = _hf("GPT2LMHeadModel", "GPT2Config", ("input_ids", "attention_mask"), {"use_cache": False},
           vocab_size=96, n_embd=24, n_layer=2, n_head=4, n_positions=32)
llama = _hf("LlamaForCausalLM", "LlamaConfig", ("input_ids", "attention_mask"), {"use_cache": False},
            vocab_size=96, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=32)
AUDIO = dict(vocab_size=20, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
             conv_dim=(12, 16, 16), conv_stride=(5, 4, 2), conv_kernel=(10, 5, 3), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4, apply_spec_augment=False)
wav2vec2 = _hf("Wav2Vec2ForCTC", "Wav2Vec2Config", ("input_values",), feat_extract_norm="group", **AUDIO)
hubert = _hf("HubertForCTC", "HubertConfig", ("input_values",), feat_extract_norm="layer", conv_bias=True,
             do_stable_layer_norm=True, **AUDIO)


class CausalSelfAttention(nn.Module):
    """Packed QKV, a mask that is a constant lower triangle."""

    def __init__(self, dim, heads, length):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.register_buffer("mask", torch.tril(torch.ones(length, length)).view(1, 1, length, length).bool())

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.qkv(x).split(c, dim=2))
        att = (q @ k.transpose(-2, -1)) * (c // self.heads) ** -0.5
        att = att.masked_fill(~self.mask[:, :, :t, :t], float("-inf")).softmax(-1)
        return self.proj((att @ v).transpose(1, 2).reshape(b, t, c))


class GptBlock(nn.Module):
    def __init__(self, dim, heads, length):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = CausalSelfAttention(dim, heads, length)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Gpt(nn.Module):
    """A small GPT as people write it, embedding and output matrix tied; the length is fixed."""

    def __init__(self, classes, vocab=80, dim=24, heads=4, layers=2, length=16):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, dim), nn.Parameter(torch.zeros(1, length, dim))
        self.blocks = nn.Sequential(*(GptBlock(dim, heads, length) for _ in range(layers)))
        self.ln, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.tok.weight

    def forward(self, ids):
        return self.head(self.ln(self.blocks(self.tok(ids) + self.pos[:, :ids.shape[1]])))


class SharedKeys(nn.Module):
    """Grouped-query attention: query heads share keys and values, which are expanded (torch 1.13 exports
    repeat_interleave wrongly). Rotary angles, if any, turn neighbouring features."""

    def __init__(self, dim, heads, shared, length, rotary):
        super().__init__()
        self.heads, self.shared, self.each = heads, shared, dim // heads
        self.q, self.o = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.k, self.v = nn.Linear(dim, shared * self.each), nn.Linear(dim, shared * self.each)
        angle = torch.arange(length)[:, None] * 100.0 ** -(torch.arange(0, self.each, 2) / self.each)
        self.rotary = rotary
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        self.register_buffer("hidden", torch.ones(length, length).triu(1).bool(), persistent=False)

    def turn(self, x):
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = self.cos[:x.shape[2]], self.sin[:x.shape[2]]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (p(x).view(b, t, -1, self.each).transpose(1, 2) for p in (self.q, self.k, self.v))
        if self.rotary:
            q, k = self.turn(q), self.turn(k)
        k, v = (z[:, :, None].expand(-1, -1, self.heads // self.shared, -1, -1).flatten(1, 2) for z in (k, v))
        scores = (q @ k.transpose(-2, -1)) * self.each ** -0.5
        scores = scores.masked_fill(self.hidden[:t, :t], float("-inf"))
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c))


class Gqa(nn.Module):
    """A small causal model whose query heads share keys and values: 4 by 2 with rotary angles, then 4 by 1 and 6 by 3 without."""

    def __init__(self, classes, vocab=80, dim=24, length=16):
        super().__init__()
        self.tok = nn.Embedding(vocab, dim)
        self.attns = nn.ModuleList(SharedKeys(dim, h, s, length, r) for h, s, r in ((4, 2, True), (4, 1, False), (6, 3, False)))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in self.attns)
        self.mlps = nn.ModuleList(nn.Sequential(nn.Linear(dim, 40), nn.SiLU(), nn.Linear(40, dim)) for _ in self.attns)
        self.head = nn.Linear(dim, classes)

    def forward(self, ids):
        x = self.tok(ids)
        for norm, attn, mlp in zip(self.norms, self.attns, self.mlps):
            x = x + attn(norm(x))
            x = x + mlp(x)
        return self.head(x[:, -1])


class TorchEncoder(nn.Module):
    """torch's own TransformerEncoder (post-norm) over a linear embedding, mean over time."""

    def __init__(self, classes, features=12, dim=24):
        super().__init__()
        self.embed = nn.Linear(features, dim)
        layer = nn.TransformerEncoderLayer(dim, 4, 48, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(dim, classes)

    def forward(self, x):
        return self.fc(self.encoder(self.embed(x)).mean(1))


# ---------------------------------------------------------------------------------------------------
# Recurrent and one-dimensional networks
# ---------------------------------------------------------------------------------------------------

class LstmClassifier(nn.Module):
    """Embedding, two bidirectional LSTM layers, the last step, a hidden layer."""

    def __init__(self, classes):
        super().__init__()
        self.embed, self.lstm = nn.Embedding(64, 16), nn.LSTM(16, 12, 2, batch_first=True, bidirectional=True)
        self.hidden, self.fc = nn.Linear(24, 32), nn.Linear(32, classes)

    def forward(self, ids):
        y, _ = self.lstm(self.embed(ids))
        return self.fc(F.relu(self.hidden(y[:, -1])))


class Tagger(nn.Module):
    """Embedding, a bidirectional LSTM, and dense layers for every token: most of the network lies behind the recurrence."""

    def __init__(self, classes):
        super().__init__()
        self.embed, self.lstm = nn.Embedding(64, 16), nn.LSTM(16, 12, batch_first=True, bidirectional=True)
        self.dense1, self.dense2, self.fc = nn.Linear(24, 40), nn.Linear(40, 40), nn.Linear(40, classes)

    def forward(self, ids):
        y, _ = self.lstm(self.embed(ids))
        return self.fc(F.relu(self.dense2(F.relu(self.dense1(y)))))


class ScriptedCell(nn.Module):
    """A recurrent cell written as a loop, and a branch: exported from torch.jit.script as Loop and If."""

    def __init__(self, classes, c=12):
        super().__init__()
        self.embed, self.w, self.u = nn.Linear(10, 16), nn.Linear(16, c), nn.Linear(c, c)
        self.short, self.long, self.fc = nn.Linear(c, 16), nn.Linear(c, 16), nn.Linear(16, classes)

    def forward(self, x):
        x = torch.relu(self.embed(x))
        h = torch.zeros(x.size(0), 12)
        for t in range(x.size(1)):
            h = torch.tanh(self.w(x[:, t]) + self.u(h))
        if x.size(1) > 6:
            h = self.long(h)
        else:
            h = self.short(h)
        return self.fc(torch.relu(h))


class SuperResolution(nn.Module):
    """Pixels into depth, residual blocks, PixelShuffle, as EDSR and ESPCN have them."""

    def __init__(self, classes, c=12):
        super().__init__()
        self.head, self.tail = nn.Conv2d(12, c, 3, padding=1), nn.Conv2d(c, 3, 3, padding=1)
        self.a, self.b = nn.Conv2d(c, 16, 3, padding=1), nn.Conv2d(16, c, 3, padding=1)
        self.up, self.up2, self.act = nn.Conv2d(c, 4 * c, 3, padding=1), nn.Conv2d(c, 4 * c, 3, padding=1), nn.PReLU(c)

    def forward(self, x):
        x = self.head(F.pixel_unshuffle(x, 2))
        x = x + self.b(F.relu(self.a(x)))
        x = self.act(F.pixel_shuffle(self.up(x), 2))
        return self.tail(F.pixel_shuffle(self.up2(x), 2))


class SamePad(nn.Conv2d):
    """TensorFlow's padding, computed on every run as timm's tf_ models do."""

    def forward(self, x):
        pads = []
        for n, k, s in zip(reversed(x.shape[-2:]), reversed(self.kernel_size), reversed(self.stride)):
            if torch.jit.is_tracing():
                n = torch.as_tensor(n, dtype=torch.float32)
                p = ((torch.ceil(n / s) - 1) * s + k - n).clip(min=0)
                pads += [torch.div(p, 2, rounding_mode="trunc").long(), (p - torch.div(p, 2, rounding_mode="trunc")).long()]
            else:
                p = max((math.ceil(n / s) - 1) * s + k - n, 0)
                pads += [p // 2, p - p // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class NormFree(nn.Module):
    """Filters that are standardised on every run (a BatchNorm in training mode of constants), as NFNet has them; paddings computed."""

    def __init__(self, classes, c=12):
        super().__init__()
        self.stem = SamePad(3, c, 3, 2)
        self.a, self.b, self.down = nn.Conv2d(c, 16, 3, padding=1), nn.Conv2d(16, c, 3, padding=1), SamePad(c, 2 * c, 3, 2)
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(n)) for n in (16, c))
        self.fc = nn.Linear(2 * c, classes)

    def standard(self, x, conv, gain):
        w = conv.weight
        w = F.batch_norm(w.reshape(1, w.shape[0], -1), None, None, weight=gain * w[0].numel() ** -0.5, training=True, momentum=0.0,
                         eps=1e-6).reshape_as(w)
        return F.conv2d(x, w, conv.bias, padding=1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = x + 0.2 * self.standard(F.silu(self.standard(x, self.a, self.gains[0])), self.b, self.gains[1])
        return self.fc(F.relu(self.down(x)).mean((2, 3)))


class MobileVit(nn.Module):
    """Convolutions, and attention between the pixels that have one place in patches of 2x2, as MobileViT lays them out."""

    def __init__(self, classes, c=16, heads=4):
        super().__init__()
        self.stem, self.conv, self.heads = conv_bn(3, c, 3, 2), nn.Conv2d(c, 24, 1, bias=False), heads
        self.norm, self.qkv, self.proj = nn.LayerNorm(24), nn.Linear(24, 72), nn.Linear(24, 24)
        self.norm2, self.up, self.downward = nn.LayerNorm(24), nn.Linear(24, 40), nn.Linear(40, 24)
        self.back, self.fuse, self.fc = conv_bn(24, c, 1), conv_bn(2 * c, 20), nn.Linear(20, classes)

    def forward(self, x):
        y = self.stem(x)
        z = self.conv(y)
        n, c, h, w = z.shape
        z = z.reshape(n * c * (h // 2), 2, w // 2, 2).transpose(1, 2).reshape(n, c, h * w // 4, 4).transpose(1, 3).reshape(n * 4, -1, c)
        q, k, v = self.qkv(self.norm(z)).reshape(-1, h * w // 4, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        a = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1) @ v
        z = z + self.proj(a.transpose(1, 2).reshape(-1, h * w // 4, c))
        z = z + self.downward(F.silu(self.up(self.norm2(z))))
        z = z.reshape(n, 4, -1, c).transpose(1, 3).reshape(n * c * (h // 2), w // 2, 2, 2).transpose(1, 2).reshape(n, c, h, w)
        return self.fc(self.fuse(torch.cat((y, self.back(z)), 1)).mean((2, 3)))


class ConvGru(nn.Module):
    """Speech-like: 1-D convolutions over a spectrum, a GRU, a label for every step."""

    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(20, 16, 5, 2, 2), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 24, 3, 1, 1), nn.ReLU())
        self.gru, self.fc = nn.GRU(24, 16, batch_first=True), nn.Linear(16, classes)

    def forward(self, x):
        y, _ = self.gru(self.conv(x).transpose(1, 2))
        return self.fc(y).log_softmax(-1)


class DepthwiseKws(nn.Module):
    """Keyword spotting: depthwise separable 1-D convolutions, residual, global average."""

    def __init__(self, classes, c=16):
        super().__init__()
        def block(cin, cout, k):
            return nn.Sequential(nn.Conv1d(cin, cin, k, padding=k // 2, groups=cin, bias=False), nn.Conv1d(cin, cout, 1, bias=False),
                                 nn.BatchNorm1d(cout))
        self.stem = nn.Sequential(block(20, c, 9), nn.ReLU())
        self.a1, self.a2 = nn.Sequential(block(c, 2 * c, 9), nn.ReLU(), block(2 * c, 2 * c, 9)), block(c, 2 * c, 1)
        self.fc = nn.Linear(2 * c, classes)

    def forward(self, x):
        x = self.stem(x)
        return self.fc(F.relu(self.a1(x) + self.a2(x)).mean(-1))


# ---------------------------------------------------------------------------------------------------
# The list
# ---------------------------------------------------------------------------------------------------

@dataclass
class Arch:
    family: str
    build: Callable[[int], nn.Module]
    inputs: list  # (name, "f32" or the number of ids or "mask", shape; words are dynamic axes)
    outputs: list  # (name, {axis: word})
    classes: int = 7
    source: str = "written here"
    title: str = ""
    gain: float = 1.3
    scripted: bool = False  # torch.jit.script before the export


def image(size=32, channels=3):
    return [("input", "f32", ("batch", channels, size, size))]


BATCH = {0: "batch"}
LOGITS = [("logits", BATCH)]
TEXT = [("input_ids", 96, ("batch", "sequence")), ("attention_mask", "mask", ("batch", "sequence"))]
TV, TIMM, HF = "torchvision", "timm", "transformers"

ARCHS = {
    "resnet18": Arch("cnn", resnet("BasicBlock", [2, 2, 2, 2]), image(), LOGITS, source=TV, title="ResNet-18, a sixteenth of the width"),
    "resnet34": Arch("cnn", resnet("BasicBlock", [3, 4, 6, 3]), image(), LOGITS, source=TV, title="ResNet-34, a sixteenth of the width"),
    "resnet50": Arch("cnn", resnet("Bottleneck", [3, 4, 6, 3]), image(), LOGITS, source=TV, title="ResNet-50, a sixteenth of the width"),
    "resnext": Arch("cnn", resnet("Bottleneck", [1, 2, 2, 1], groups=4, width_per_group=32), image(), LOGITS, source=TV,
                    title="ResNeXt: 4 groups"),
    "cifar_resnet": Arch("cnn", cifar_resnet, image(), LOGITS, title="CIFAR ResNet-14 with padded shortcuts (option A)"),
    "wide_resnet": Arch("cnn", wide_resnet, image(), LOGITS, title="Wide ResNet 16 (pre-activation, dropout)"),
    "preact_resnet": Arch("cnn", preact_resnet, image(), LOGITS, source=TIMM, title="pre-activation ResNet with bottlenecks"),
    "vgg": Arch("cnn", vgg(False), image(56), LOGITS, source=TV, title="VGG, three pools, flatten of 7x7"),
    "vgg_bn": Arch("cnn", vgg(True), image(56), LOGITS, source=TV, title="VGG with BatchNorm, flatten of 7x7"),
    "alexnet": Arch("cnn", alexnet, image(224), LOGITS, source=TV, title="AlexNet, a sixteenth of the width, flatten of 6x6"),
    "lenet": Arch("cnn", LeNet, image(32, 1), LOGITS, 10, title="LeNet-5, flatten of 5x5"),
    "squeezenet": Arch("cnn", squeezenet, image(64), LOGITS, source=TV, title="SqueezeNet 1.1, an eighth of the width", gain=1.5),
    "googlenet": Arch("cnn", googlenet, image(64), LOGITS, source=TV, title="GoogLeNet, a sixteenth of the width", gain=1.6),
    "inception_v3": Arch("cnn", inception_v3, image(75), LOGITS, source=TV, title="Inception v3, a sixteenth of the width", gain=1.8),
    "densenet": Arch("cnn", densenet, image(), LOGITS, source=TV, title="DenseNet-BC, growth 4, blocks 4-6-6-4", gain=1.7),
    "mobilenet_v2": Arch("cnn", mobilenet_v2, image(), LOGITS, source=TV, title="MobileNetV2, a twelfth of the width", gain=1.5),
    "mobilenet_v3": Arch("cnn", mobilenet_v3, image(), LOGITS, source=TV, title="MobileNetV3-small-like", gain=1.6),
    "efficientnet": Arch("cnn", efficientnet, image(), LOGITS, source=TV, title="EfficientNet-B0-like", gain=1.7),
    "shufflenet_v2": Arch("cnn", shufflenet_v2, image(), LOGITS, source=TV, title="ShuffleNetV2"),
    "regnet_y": Arch("cnn", regnet_y, image(), LOGITS, source=TV, title="RegNetY: grouped, squeeze-and-excite"),
    "convnext": Arch("cnn", convnext, image(64), LOGITS, source=TV, title="ConvNeXt with layer scale"),
    "ghostnet": Arch("cnn", ghostnet, image(), LOGITS, source=TIMM, title="GhostNet", gain=1.5),
    "unet": Arch("segmentation", UNet, image(), [("mask", BATCH)], 3, title="U-Net, ConvTranspose"),
    "unet_bilinear": Arch("segmentation", UNetBilinear, image(), [("mask", BATCH)], 3, title="U-Net, bilinear Resize"),
    "deeplab": Arch("segmentation", DeepLab, image(64), [("out", BATCH)], 5, source=TV, title="DeepLabV3 on a dilated ResNet"),
    "lraspp": Arch("segmentation", LraspWrap, image(64), [("out", BATCH)], 5, source=TV, title="LR-ASPP on a MobileNetV3", gain=1.7),
    "autoencoder": Arch("cnn", Autoencoder, image(28, 1), [("image", BATCH), ("code", BATCH)], 0,
                        title="convolutional autoencoder, linear code"),
    "fpn": Arch("detector", FpnDetector, image(64), [("scores", BATCH), ("boxes", BATCH)], 5, source=TV,
                title="ResNet, feature pyramid and RetinaNet's heads (shared by the levels)"),
    "yolo_anchors": Arch("detector", Yolo, image(64), [("p3", BATCH), ("p4", BATCH), ("p5", BATCH)], 4,
                         title="YOLO-like: C3, SPPF, PAN, three outputs", gain=1.6),
    "yolo_dfl": Arch("detector", lambda n: Yolo(n, C2f, "dfl"), image(64), [("detections", BATCH)], 4,
                     title="YOLO-like: C2f (split), SPPF, PAN, boxes as distributions, one output", gain=1.65),
    "super_resolution": Arch("segmentation", SuperResolution, image(16), [("image", BATCH)], 0, gain=1.5,
                             title="super-resolution: SpaceToDepth, residual, PixelShuffle twice"),
    "norm_free": Arch("cnn", NormFree, image(30), LOGITS, title="filters standardised on every run, paddings computed on every run"),
    "mobilevit": Arch("transformer", MobileVit, image(), LOGITS, gain=1.9, title="MobileViT block: attention between patches of a map"),
    "mlp": Arch("mlp", mlp, [("input", "f32", ("batch", 1, 14, 14))], LOGITS, 10, title="MLP 196-48-48"),
    "mlp_norm": Arch("mlp", mlp_norm, [("input", "f32", ("batch", 20))], LOGITS, title="MLP with BatchNorm1d, PReLU, LayerNorm, GELU"),
    "mlp_mixer": Arch("mlp", mlp_mixer, image(), LOGITS, source=TIMM, title="MLP-Mixer"),
    "vit": Arch("transformer", vit, image(), LOGITS, source=TV, title="ViT (torch's MultiheadAttention)"),
    "deit": Arch("transformer", deit, image(), LOGITS, source=TIMM, title="DeiT with distillation token (packed QKV)"),
    "swin": Arch("transformer", swin, image(), LOGITS, source=TV, title="Swin: shifted windows, patch merging"),
    "torch_encoder": Arch("transformer", TorchEncoder, [("input", "f32", ("batch", 10, 12))], LOGITS,
                          title="torch's TransformerEncoder, post-norm"),
    "bert": Arch("transformer", bert, TEXT, LOGITS, source=HF, title="BERT classifier"),
    "bert_mlm": Arch("transformer", bert_mlm, TEXT + [("token_type_ids", 2, ("batch", "sequence"))],
                     [("logits", {0: "batch", 1: "sequence"})], source=HF, title="BERT with its masked-language head (tied matrix)"),
    "distilbert": Arch("transformer", distilbert, TEXT, LOGITS, source=HF, title="DistilBERT classifier"),
    "gpt2": Arch("transformer", gpt2, TEXT, [("logits", {0: "batch", 1: "sequence"})], source=HF,
                 title="GPT-2 (causal, tied matrix)"),
    "gpt": Arch("transformer", Gpt, [("input_ids", 80, ("batch", 16))], [("logits", BATCH)],
                title="small GPT, packed QKV, constant causal mask, tied matrix"),
    "gqa": Arch("transformer", Gqa, [("input_ids", 80, ("batch", 16))], LOGITS,
                title="grouped-query attention, with and without rotary angles"),
    "llama": Arch("transformer", llama, TEXT, [("logits", {0: "batch", 1: "sequence"})], source=HF,
                  title="Llama (rotary, RMSNorm, SwiGLU, grouped queries)"),
    "wav2vec2": Arch("audio", wav2vec2, [("input_values", "f32", ("batch", 800))], [("logits", BATCH)], source=HF,
                     title="wav2vec 2.0 CTC (GroupNorm in the first convolution)"),
    "hubert": Arch("audio", hubert, [("input_values", "f32", ("batch", 800))], [("logits", BATCH)], source=HF,
                   title="HuBERT CTC (LayerNorm between the convolutions, pre-norm)"),
    "lstm": Arch("rnn", LstmClassifier, [("input_ids", 64, ("batch", 12))], LOGITS, title="two bidirectional LSTM layers"),
    "tagger": Arch("rnn", Tagger, [("input_ids", 64, ("batch", 12))], [("tags", BATCH)], title="bidirectional LSTM, then dense layers"),
    "scripted_cell": Arch("rnn", ScriptedCell, [("input", "f32", ("batch", "sequence", 10))], LOGITS, scripted=True,
                          title="recurrent cell as a Loop, with an If"),
    "conv_gru": Arch("rnn", ConvGru, [("input", "f32", ("batch", 20, 24))], [("log_probs", BATCH)], title="Conv1d and GRU, CTC-like"),
    "conv1d_kws": Arch("audio", DepthwiseKws, [("input", "f32", ("batch", 20, 32))], LOGITS,
                       title="depthwise separable Conv1d network"),
}
