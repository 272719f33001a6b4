#!/usr/bin/env bash
# Predicted beside measured seconds of exchanges on emulated links: every strategy, two members under mpirun, one thread each, the quietest
# of ROUNDS runs, because the machine makes members wait for each other, and no prediction knows of that.
# Usage: bench/plan.sh [ROUNDS=3] [LINK ...], LINK as RATE,LATENCY
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
links=("${@:2}")
[ ${#links[@]} -gt 0 ] || links=(100Mbps,5ms 1Gbps,1ms)
members=${MEMBERS:-2}
basin=${BASIN:-build/release/bin/basin}
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/config.yaml" <<YAML
population: {members: $members}
data: {name: shapes, train_limit: 320, validation: 0.0, test_limit: 100}
model: {name: mlp, hidden: [256, 256], norm: none}
train: {steps: 80, batch_size: 16, optimizer: {name: sgd, lr: 0.01}}
evaluate: {every_epochs: 0, batch_size: 100, recalibrate_batches: 1}
lmc: {pairs: none}
coordinator: {address: none}
report: {tensorboard: false, html: false, progress: off}
YAML
strategies=(
  '{name: wash, p: 0.001}' '{name: wash, p: 0.1, law: constant}' '{name: sparta, p: 0.01}' '{name: papa, every_steps: 10}'
  '{name: papa-all, every_epochs: 1, renorm: none}' '{name: papa-2, every_epochs: 1, renorm: none}'
  '{name: dart, from_epoch: 1, every_epochs: 1}'
  '{name: local-sgd, every_steps: 20}' '{name: diloco, every_steps: 20}' '{name: gossip, every_steps: 10}'
)
for link in "${links[@]}"; do
  for k in "${!strategies[@]}"; do
    for ((round = 0; round < rounds; round++)); do
      mpirun --oversubscribe --bind-to none -n "$members" "$basin" train "$folder/config.yaml" --quiet --run-dir "$folder/$link/$k/$round" \
        --set "strategy=${strategies[k]}" --set "comm.emulate={bandwidth: ${link%,*}, latency: ${link#*,}}" 2>"$folder/log" ||
        { cat "$folder/log" >&2; exit 1; }
    done
  done
done
python3 - "$folder" "${strategies[@]}" <<'PYTHON'
import glob
import json
import os
import sys

folder, strategies = sys.argv[1], sys.argv[2:]
print("| link | strategy | exchanges | bytes a rank | predicted | predicted s | measured s | measured / predicted |")
print("|---|---|---|---|---|---|---|---|")
for link in sorted(os.path.basename(path) for path in glob.glob(folder + "/*,*")):
    for k, strategy in enumerate(strategies):
        runs = [json.load(open(path)) for path in glob.glob(f"{folder}/{link}/{k}/*/result.json")]
        quiet = min(runs, key=lambda run: run["seconds"]["exchange"])
        sent, plan, seconds = quiet["bytes"], quiet["plan"], quiet["seconds"]["exchange"]
        print(f"| {link} | `{strategy}` | {sent['exchanges']} | {sent['payload_per_rank']:.0f} | {plan['bytes_per_rank']:.0f} "
              f"| {plan['seconds']:.3f} | {seconds:.3f} | {seconds / plan['seconds']:.3f} |")
PYTHON
