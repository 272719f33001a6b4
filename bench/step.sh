#!/usr/bin/env bash
# Sets the training step of bench/step.cc and of bench/peers/step.py (PyTorch, eager) side by side, in turn (ABAB), one thread.
# Usage: [STEPS=20] bench/step.sh [ROUNDS] [MODEL:BATCH:SIZE ...]
# Best step over all rounds, in milliseconds of processor time (which other programs disturb little) and of wall time; PyTorch
# with each memory format, and with the faster of its two forms of SGD. A ratio below 1 means that Basin is faster than the best.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
shift || true
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(mlp:128:32 convnet:64:20 resnet20:128:32 resnet18:32:32)
program=${BASIN_STEP:-build/release/bin/bench_step}
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
for case in "${cases[@]}"; do
  IFS=: read -r model batch size <<<"$case"
  arguments=(--model "$model" --batch "$batch" --size "$size" --steps "${STEPS:-20}")
  for ((round = 0; round < rounds; round++)); do
    "$program" "${arguments[@]}" >>"$lines"
    "$python" bench/peers/step.py "${arguments[@]}" >>"$lines"
  done
done
"$python" - "$lines" <<'PYTHON'
import collections
import json
import sys

METRICS = ("cpu_best_ms", "best_ms")
best = collections.defaultdict(dict)
for text in open(sys.argv[1]):
    line = json.loads(text)
    sides = best[(line["model"], line["batch"], line["size"])]
    who = "basin" if line["who"] == "basin" else line["format"]
    old = sides.get(who, line)
    sides[who] = {metric: min(line[metric], old[metric]) for metric in METRICS}
print("| network | batch | pixels | clock | Basin ms | PyTorch contiguous | PyTorch channels_last | ratio |")
print("|---|---|---|---|---|---|---|---|")
for (model, batch, size), sides in best.items():
    for metric, clock in zip(METRICS, ("processor", "wall")):
        ours = sides["basin"][metric]
        theirs = [sides[form][metric] if form in sides else None for form in ("contiguous", "channels_last")]
        cells = " | ".join("" if ms is None else f"{ms:.1f}" for ms in theirs)
        ratio = ours / min(ms for ms in theirs if ms is not None)
        print(f"| {model} | {batch} | {size} | {clock} | {ours:.1f} | {cells} | {ratio:.2f} |")
PYTHON
