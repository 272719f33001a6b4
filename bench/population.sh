#!/usr/bin/env bash
# Two members under mpirun on two cores beside one member alone, in turn (ABAB): throughput, and the share of the time that the
# exchange of WASH takes. ResNet-20, batch 128, generated pictures, one thread a member.
# Usage: bench/population.sh [ROUNDS=3] [STEPS=40]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
steps=${2:-40}
basin=${BASIN:-build/release/bin/basin}
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/config.yaml" <<YAML
data: {name: shapes, validation: 0.0, test_limit: 100}
model: {name: resnet20}
train: {steps: $steps, batch_size: 128, optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1.0e-4}}
evaluate: {every_epochs: 0, batch_size: 100, recalibrate_batches: 1}
lmc: {pairs: none}
report: {tensorboard: false, html: false, progress: off}
YAML
# train <name> <members> <strategy>
train() {
  local start=()
  [ "$2" -gt 1 ] && start=(mpirun --bind-to core -n "$2")
  "${start[@]}" "$basin" train "$folder/config.yaml" --quiet --run-dir "$folder/$1-$round" \
    --set "population.members=$2" --set "strategy=$3"
}
for ((round = 0; round < rounds; round++)); do
  train alone 1 '{name: independent}'
  train independent 2 '{name: independent}'
  train wash 2 '{name: wash, p: 0.001}'
done
python3 - "$folder" "$steps" <<'PYTHON'
import glob
import json
import sys

folder, steps = sys.argv[1], int(sys.argv[2])


def best(name):
    """The quietest round: (milliseconds a step with its exchange, milliseconds of the exchange)."""
    rounds = [json.load(open(path))["seconds"] for path in glob.glob(f"{folder}/{name}-*/result.json")]
    return min((1e3 * (s["train"] + s["exchange"]) / steps, 1e3 * s["exchange"] / steps) for s in rounds)


alone = best("alone")[0]
print("| run | members | ms a step | exchange ms a step | exchange share | throughput against one member |")
print("|---|---|---|---|---|---|")
for name, members in (("alone", 1), ("independent", 2), ("wash", 2)):
    step, exchange = best(name)
    print(f"| {name} | {members} | {step:.1f} | {exchange:.3f} | {100 * exchange / step:.2f} % | {members * alone / step:.2f} |")
PYTHON
