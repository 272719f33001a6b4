"""Weight matching in numpy and scipy: the coordinate descent of Ainsworth et al. (arXiv 2209.04836), visiting the ids in the order of
bench_weight_matching, on the same networks in float64. Prints seconds, sweeps and objectives side by side.

OMP_NUM_THREADS=1 python bench/peers/weight_matching.py build/release/bin/bench_weight_matching
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy.optimize import linear_sum_assignment


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"]).astype(np.float64)
    return tensors


def permuted(b, axes, pi, leave_out=None):
    for axis, p in enumerate(axes):
        if p and axis != leave_out:
            b = np.take(b, pi[p], axis=axis)
    return b


def match(a, b, task):
    places = {p: [] for p in task["ids"]}
    for tensor, axes in task["axes"].items():
        for axis, p in enumerate(axes):
            if p:
                places[p].append((tensor, axis))
    size = {p: a[where[0][0]].shape[where[0][1]] for p, where in places.items()}
    pi = {p: np.arange(n) for p, n in size.items()}
    for sweep, order in enumerate(task["orders"]):
        progress = False
        for index in order:
            p = task["ids"][index]
            gains = np.zeros((size[p], size[p]))
            for tensor, axis in places[p]:
                left = np.moveaxis(a[tensor], axis, 0).reshape(size[p], -1)
                right = np.moveaxis(permuted(b[tensor], task["axes"][tensor], pi, axis), axis, 0).reshape(size[p], -1)
                gains += left @ right.T
            rows, columns = linear_sum_assignment(gains, maximize=True)
            if gains[rows, columns].sum() > gains[rows, pi[p]].sum() + 1e-12:
                progress, pi[p] = True, columns
        if not progress:
            break
    objective = sum((a[t] * permuted(b[t], axes, pi)).sum() for t, axes in task["axes"].items())
    return objective, sweep + 1


print(f"{'network':>18} {'share':>5} {'basin s':>9} {'numpy s':>9} {'ratio':>6} {'sweeps':>7} objective basin / numpy")
with tempfile.TemporaryDirectory() as folder:
    output = subprocess.run([sys.argv[1], "--dump", folder], check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        ours = json.loads(line)
        path = os.path.join(folder, ours["folder"])
        with open(os.path.join(path, "task.json")) as file:
            task = json.load(file)
        a, b = (read(os.path.join(path, f"{name}.safetensors")) for name in "ab")
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            objective, sweeps = match(a, b, task)
            seconds.append(time.perf_counter() - start)
        print(f"{ours['network']:>18} {ours['share']:>5} {ours['seconds']:9.3f} {min(seconds):9.3f} {min(seconds) / ours['seconds']:6.2f} "
              f"{ours['sweeps']:>3}/{sweeps:<3} {ours['objective']:.6f} / {objective:.6f}", flush=True)
