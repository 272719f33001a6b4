#!/usr/bin/env bash
# Sets one exchange between two members beside the same exchange in Python, in turn (ABAB), one thread a process:
# bench/peers/exchange_best.py (flat vector, skips) and bench/peers/exchange_masks.py (a mask for each tensor).
# The Python peers need numpy: .venv/bin/pip install numpy
# Usage: bench/exchange.sh [ROUNDS]. Each side counts with its quietest round (tenth percentile).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
parameters=${PARAMETERS:-11220132}
p=${P:-0.001,0.01,0.05}
program=${BASIN_EXCHANGE:-build/release/bin/bench_exchange}
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for ((round = 0; round < rounds; round++)); do
  mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2 "$program" --parameters "$parameters" --p "$p" \
    --json "$folder/basin-$round.json" >/dev/null
  "$python" bench/peers/exchange_best.py --parameters "$parameters" --p "$p" >>"$folder/peers"
  "$python" bench/peers/exchange_masks.py --parameters "$parameters" --p "$p" --repetitions 7 >>"$folder/peers"
done
"$python" - "$folder" <<'PYTHON'
import collections
import glob
import json
import sys

best = collections.defaultdict(dict)


def keep(row, who):
    sides = best[row["p"]]
    if who not in sides or row["quiet_ms"] < sides[who]["quiet_ms"]:
        sides[who] = row


for path in glob.glob(sys.argv[1] + "/basin-*.json"):
    for row in json.load(open(path)):
        keep({**row, "quiet_transfer_ms": row["transfer_ms"]}, "basin")
for line in open(sys.argv[1] + "/peers"):
    row = json.loads(line)
    keep(row, row["peer"])
print("| p | Basin ms | ns/moved | best Python ms (of it transfer) | ratio | without transfers | masks ms | ratio |")
print("|---|---|---|---|---|---|---|---|")
for p, sides in sorted(best.items()):
    ours, python, masks = (sides[who]["quiet_ms"] for who in ("basin", "best", "masks"))
    sent, python_sent = (sides[who]["quiet_transfer_ms"] for who in ("basin", "best"))
    print(f"| {p} | {ours:.3f} | {sides['basin']['quiet_ns_per_moved']:.1f} | {python:.2f} ({python_sent:.2f}) "
          f"| {python / ours:.1f} | {(python - python_sent) / (ours - sent):.1f} | {masks:.1f} | {masks / ours:.0f} |")
PYTHON
