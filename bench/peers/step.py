"""The training step of bench/step.cc in PyTorch, eager, one thread: torch.nn modules as torchvision writes them.

Every memory format and both fast forms of SGD are tried; one JSON line each. bench/step.sh compares with the best.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def conv_norm(cin, cout, kernel=3, stride=1):
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout)


class Mlp(nn.Sequential):
    def __init__(self, size):
        layers, units = [nn.Flatten()], 3 * size * size
        for _ in range(3):
            layers += [nn.Linear(units, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True)]
            units = 512
        super().__init__(*layers, nn.Linear(units, 10))


class ConvNet(nn.Sequential):
    def __init__(self, size):
        relu = nn.ReLU(inplace=True)
        super().__init__(*conv_norm(3, 16), relu, nn.MaxPool2d(2), *conv_norm(16, 32), relu, nn.MaxPool2d(2),
                         *conv_norm(32, 64), relu, *conv_norm(64, 64), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(64, 10))


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(cin, cout, 3, stride)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv_norm(cout, cout)
        self.downsample = nn.Sequential(*conv_norm(cin, cout, 1, stride)) if stride != 1 or cin != cout else None

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Sequential):
    def __init__(self, blocks, first):
        layers = [*conv_norm(3, first), nn.ReLU(inplace=True)]
        cin = first
        for stage, count in enumerate(blocks):
            for index in range(count):
                layers.append(Block(cin, first * 2**stage, 2 if stage > 0 and index == 0 else 1))
                cin = first * 2**stage
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, 10))


MODELS = {"mlp": Mlp, "convnet": ConvNet, "resnet20": lambda size: ResNet([3, 3, 3], 16),
          "resnet18": lambda size: ResNet([2, 2, 2, 2], 64)}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(args, memory_format, sgd):
    model = MODELS[args.model](args.size).to(memory_format=memory_format).train()
    images = torch.randn(args.batch, 3, args.size, args.size).to(memory_format=memory_format)
    labels = torch.arange(args.batch) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, **{sgd: True})
    wall, cpu = [], []
    for step in range(args.warmup + args.steps):
        cpu_before, before = cpu_seconds(), time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        if step >= args.warmup:
            wall.append(time.perf_counter() - before)
            cpu.append(cpu_seconds() - cpu_before)
    return {"who": "pytorch", "model": args.model, "batch": args.batch, "size": args.size,
            "format": str(memory_format).removeprefix("torch.").removesuffix("_format"), "sgd": sgd,
            "best_ms": 1e3 * min(wall), "median_ms": 1e3 * statistics.median(wall),
            "cpu_best_ms": 1e3 * min(cpu), "loss": loss.item()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="resnet20", choices=MODELS)
    for name, value in (("batch", 128), ("size", 32), ("steps", 20), ("warmup", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        if args.model == "mlp" and memory_format is torch.channels_last:
            continue
        for sgd in ("foreach", "fused"):
            print(json.dumps(measure(args, memory_format, sgd)), flush=True)


if __name__ == "__main__":
    main()
