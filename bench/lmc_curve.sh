#!/usr/bin/env bash
# A curve of loss and accuracy between two networks, by Basin (bench/lmc_curve.cc) and by a plain PyTorch loop over the same sizes
# (bench/peers/lmc_curve.py, the best of its memory formats and batch sizes), in turn, one thread. A ratio above 1: Basin is faster.
# Usage: bench/lmc_curve.sh [ROUNDS=2] [MODEL:CHANNELS:SIZE:IMAGES:POINTS ...]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-2}
shift || true
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(mlp:1:28:10000:25 resnet20:3:32:10000:5)
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
for case in "${cases[@]}"; do
  IFS=: read -r model channels size images points <<<"$case"
  arguments=(--model "$model" --channels "$channels" --size "$size" --images "$images" --points "$points" --rounds 1)
  for ((round = 0; round < rounds; round++)); do
    build/release/bin/bench_lmc_curve "${arguments[@]}" >>"$lines"
    .venv/bin/python bench/peers/lmc_curve.py "${arguments[@]}" >>"$lines"
  done
done
.venv/bin/python - "$lines" <<'PYTHON'
import collections
import json
import sys

best = collections.defaultdict(dict)
for text in open(sys.argv[1]):
    line = json.loads(text)
    sides = best[(line["model"], line["images"], line["points"])]
    sides[line["who"]] = min(line["seconds"], sides.get(line["who"], line["seconds"]))
print("| network | images | points | Basin s | PyTorch s (batches of 1000) | PyTorch s (best) | times faster than 1000 | than the best |")
print("|---|---|---|---|---|---|---|---|")
for (model, images, points), sides in best.items():
    ours = sides.pop("basin")
    thousand = min(s for who, s in sides.items() if who.endswith(" 1000"))
    name = min(sides, key=sides.get)
    print(f"| {model} | {images} | {points} | {ours:.2f} | {thousand:.2f} | {sides[name]:.2f} ({name.removeprefix('pytorch ')}) "
          f"| {thousand / ours:.2f} | {sides[name] / ours:.2f} |")
PYTHON
