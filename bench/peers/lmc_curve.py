"""The curve of bench/lmc_curve.cc as a plain PyTorch loop, one thread: interpolate the state, load it, go through the test images.

The images are normalised and in memory before the clock starts. Networks with batch norm are measured twice at each interior
point, as Basin does: with interpolated and with recomputed statistics. Memory formats and batch sizes are tried; one JSON line each.
"""
import argparse
import copy
import json
import time

import torch
from step import MODELS
from torch import nn
from torch.nn import functional as F


def plain_mlp(channels, size):
    layers, units = [nn.Flatten()], channels * size * size
    for _ in range(3):
        layers += [nn.Linear(units, 512), nn.ReLU()]
        units = 512
    return nn.Sequential(*layers, nn.Linear(units, 10))


def make(name, channels, size):
    return plain_mlp(channels, size) if name == "mlp" else MODELS[name](size)


@torch.no_grad()
def evaluate(model, images, labels, batch):
    loss, hits = 0.0, 0
    for x, y in zip(images.split(batch), labels.split(batch)):
        logits = model(x)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        hits += (logits.argmax(1) == y).sum().item()
    return loss / len(labels), hits / len(labels)


@torch.no_grad()
def reset(model, images):
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for x in images.split(1000):  # as in bench/lmc_curve.cc: the statistics depend on it
        model(x)
    model.eval()


def curve(args, memory_format, batch):
    torch.manual_seed(1)
    ends = [make(args.model, args.channels, args.size) for _ in range(2)]
    model = copy.deepcopy(ends[0]).to(memory_format=memory_format).eval()
    has_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    images = torch.randn(args.images, args.channels, args.size, args.size).to(memory_format=memory_format)
    labels = torch.arange(args.images) % 10
    a, b = (end.state_dict() for end in ends)
    start = time.perf_counter()
    for k in range(args.points):
        t = k / (args.points - 1)
        model.load_state_dict({name: (1 - t) * a[name] + t * b[name] if a[name].is_floating_point() else a[name] for name in a})
        evaluate(model, images, labels, batch)
        if has_norm and 0 < k < args.points - 1:
            reset(model, images)
            evaluate(model, images, labels, batch)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="mlp")
    for name, value in (("channels", 1), ("size", 28), ("images", 10000), ("points", 25), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(1)
    formats = [torch.contiguous_format] if args.model == "mlp" else [torch.contiguous_format, torch.channels_last]
    for memory_format in formats:
        for batch in (1000, 200, 50):
            seconds = min(curve(args, memory_format, batch) for _ in range(args.rounds))
            print(json.dumps({"who": f"pytorch {str(memory_format).removeprefix('torch.').removesuffix('_format')} {batch}",
                              "model": args.model, "images": args.images, "points": args.points, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
