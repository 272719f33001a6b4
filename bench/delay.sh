#!/usr/bin/env bash
# How much of a training step an exchange holds up between two ranks, blocking and with delay_steps 1, in turn (ABAB): resnet20 on generated
# pictures, WASH. Further arguments go to basin train, for example a slower link or another p.
#   bench/delay.sh [ROUNDS] [--set KEY=VALUE]...
# Exposed: seconds in exchanges, waiting included, as a share of all seconds in steps and exchanges; the round with the quickest steps.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rounds=${1:-2}
shift || true
basin=${BASIN:-$here/build/release/bin/basin}
steps=${STEPS:-30} batch=${BATCH:-128} delays=${DELAYS:-0 1}
export OMP_NUM_THREADS=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for ((round = 0; round < rounds; round++)); do
  for delay in $delays; do
    mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2 "$basin" train "$here/configs/smoke.yaml" --run-dir "$folder/$delay-$round" --quiet \
      --set population.members=2 --set data.train_limit=2000 --set "model={name: resnet20}" --set "train={steps: $steps, batch_size: $batch}" \
      --set "strategy={name: wash, p: 0.05, delay_steps: $delay}" --set evaluate.every_epochs=0 --set lmc.pairs=none --set report.tensorboard=false "$@" >/dev/null
  done
done
python3 - "$folder" "$steps" <<'PYTHON'
import glob
import json
import os
import sys

best = {}
for path in glob.glob(sys.argv[1] + "/*/result.json"):
    delay = int(os.path.basename(os.path.dirname(path)).split("-")[0])
    result = json.load(open(path))
    row = (result["seconds"]["train"], result["seconds"]["exchange"], result["bytes"]["payload_per_rank"])
    best[delay] = min(best.get(delay, row), row)
print("| delay_steps | ms a step | ms in exchanges a step | exposed | bytes a step |")
print("|---|---|---|---|---|")
for delay, (train, exchange, bytes_sent) in sorted(best.items()):
    steps = int(sys.argv[2])
    print(f"| {delay} | {1e3 * train / steps:.1f} | {1e3 * exchange / steps:.2f} | {100 * exchange / (train + exchange):.2f} % | {bytes_sent / steps:.0f} |")
PYTHON
