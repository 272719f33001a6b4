"""Writes models.json: logits of Basin's architectures by plain torch.nn modules with torchvision's names.

Run with PyTorch 2.11.0 (CPU): python tests/golden/make_models.py
Weights and images follow a closed formula that tests/models/golden_test.cc computes as well, so the file holds results
alone. The reference is computed in double precision.
"""
import json
import pathlib
import re

import torch
from torch import nn
from torch.nn import functional as F


class ChannelLayerNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = ((x - mean) ** 2).mean(1, keepdim=True)
        shape = [1, -1] + [1] * (x.dim() - 2)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.weight.view(shape) + self.bias.view(shape)


def make_norm(norm, channels, dims=2):
    if norm == "layer":
        return ChannelLayerNorm(channels)
    if norm == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if dims == 2 else nn.BatchNorm1d(channels)


def conv(cin, cout, kernel, stride, norm):
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=norm == "none")


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, classes, norm):
        super().__init__()
        sizes = [inputs] + hidden + [classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.norms = nn.ModuleList(make_norm(norm, size, 1) for size in hidden)

    def forward(self, x):
        x = x.flatten(1)
        for layer, norm in zip(self.layers, self.norms):
            x = F.relu(norm(layer(x)))
        return self.layers[-1](x)


class ConvNet(nn.Module):
    def __init__(self, channels, width, classes, norm):
        super().__init__()
        sizes = [round(width * c) for c in (16, 32, 64, 64)]
        for i, (cin, cout) in enumerate(zip([channels] + sizes, sizes), 1):
            setattr(self, f"conv{i}", conv(cin, cout, 3, 1, norm))
            setattr(self, f"bn{i}", make_norm(norm, cout))
        self.fc = nn.Linear(sizes[-1], classes)

    def forward(self, x):
        for i in range(1, 5):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
            if i <= 2:
                x = F.max_pool2d(x, 2)
        return self.fc(x.mean((2, 3)))


VGG = {"vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
       "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"}


class Vgg(nn.Module):
    def __init__(self, name, channels, width, classes, norm):
        super().__init__()
        layers = []
        for item in VGG[name].split():
            if item == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            out = round(width * int(item))
            layers.append(nn.Conv2d(channels, out, 3, padding=1))
            if norm != "none":
                layers.append(make_norm(norm, out))
            layers.append(nn.ReLU())
            channels = out
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, cin, inner, out, stride, bottleneck, norm):
        super().__init__()
        shapes = ([(cin, inner, 1, 1), (inner, inner, 3, stride), (inner, out, 1, 1)] if bottleneck
                  else [(cin, inner, 3, stride), (inner, out, 3, 1)])
        self.steps = len(shapes)
        for i, shape in enumerate(shapes, 1):
            setattr(self, f"conv{i}", conv(*shape, norm))
            setattr(self, f"bn{i}", make_norm(norm, shape[1]))
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(conv(cin, out, 1, stride, norm), make_norm(norm, out))

    def forward(self, x):
        y = x
        for i in range(1, self.steps + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.steps:
                y = F.relu(y)
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


RESNET = {"resnet20": ([3, 3, 3], 16, False), "resnet18": ([2, 2, 2, 2], 64, False),
          "resnet50": ([3, 4, 6, 3], 64, True)}


class ResNet(nn.Module):
    def __init__(self, name, channels, side, width, classes, norm):
        super().__init__()
        blocks, first, bottleneck = RESNET[name]
        self.small = name == "resnet20" or side < 64
        cin = round(width * first)
        self.conv1 = conv(channels, cin, 3, 1, norm) if self.small else conv(channels, cin, 7, 2, norm)
        self.bn1 = make_norm(norm, cin)
        for stage, count in enumerate(blocks):
            inner = round(width * first * 2**stage)
            out = 4 * inner if bottleneck else inner
            layer = []
            for index in range(count):
                layer.append(Block(cin, inner, out, 2 if stage > 0 and index == 0 else 1, bottleneck, norm))
                cin = out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.stages = len(blocks)
        self.fc = nn.Linear(cin, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


def scatter(count, k):
    """Numbers in [-1, 1) by an integer hash of (index, k): the same in every language, and without structure (sine waves
    make nearly collinear channels, which normalisation turns into magnified rounding)."""
    mask = 0xFFFFFFFF
    x = (torch.arange(count, dtype=torch.int64) * 2654435761 + k * 2246822519) & mask
    for shift in (15, 13, 16):
        x = ((x ^ (x >> shift)) * 0x2C1B3C6D) & mask
    return x.double() / 2**31 - 1


def fill(model):
    """The k-th tensor of the state becomes float32 centre + scale * scatter(., k), row-major."""
    for k, (name, tensor) in enumerate(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        centre, scale = 0.0, 0.1
        if tensor.dim() > 1:
            scale = (6 / (tensor.numel() / tensor.shape[0])) ** 0.5
        elif re.search(r"running_var$", name):
            centre, scale = 1.0, 0.3
        elif name.endswith("weight"):
            centre = 1.0
        tensor.copy_((centre + scale * scatter(tensor.numel(), k)).view(tensor.shape).float())


def images(count, channels, side):
    return scatter(count * channels * side * side, 1000).float().double().view(count, channels, side, side)


def numbers(values):
    """Nine digits: more than a float32 has."""
    return [float(f"{value.item():.9g}") for value in values]


def measure(name, norm, side, width, channels=3, count=4, classes=5):
    if name == "mlp":
        model = Mlp(channels * side * side, [round(width * h) for h in (512, 512, 512)], classes, norm)
    elif name == "convnet":
        model = ConvNet(channels, width, classes, norm)
    elif name.startswith("vgg"):
        model = Vgg(name, channels, width, classes, norm)
    else:
        model = ResNet(name, channels, side, width, classes, norm)
    model = model.double()
    with torch.no_grad():
        fill(model)
    x = images(count, channels, side)
    eval_logits = model.eval()(x)
    train_logits = model.train()(x)
    F.cross_entropy(train_logits, torch.arange(count) % classes).backward()
    return {"name": name, "norm": norm, "side": side, "width": width, "channels": channels, "count": count,
            "classes": classes, "eval": numbers(eval_logits.flatten()), "train": numbers(train_logits.flatten()),
            "gradient_norms": numbers(p.grad.norm() for p in model.parameters())}


def main():
    torch.set_num_threads(1)
    cases = [measure(name, norm, side, width)
             for name, side, width in (("mlp", 4, 0.03125), ("convnet", 16, 0.5), ("vgg11", 32, 0.125),
                                       ("resnet20", 12, 0.5), ("resnet18", 32, 0.125))
             for norm in ("batch", "layer", "none")]
    cases += [measure("convnet", "batch", 28, 1, channels=1), measure("vgg16", "batch", 48, 0.125),
              measure("resnet18", "batch", 64, 0.125), measure("resnet50", "batch", 33, 0.125),
              measure("resnet50", "batch", 72, 0.125)]
    out = {"torch": torch.__version__, "made_by": "tests/golden/make_models.py", "cases": cases}
    path = pathlib.Path(__file__).with_name("models.json")
    path.write_text(json.dumps(out).replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
