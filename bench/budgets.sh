#!/usr/bin/env bash
# Budgets by the clock in real runs on an emulated slow link: what was spent beside what was allowed. Two members under mpirun, one thread
# each, 800 steps of the quick start. A budget that an exchange at every step cannot spend is left over.
# Usage: bench/budgets.sh [ROUNDS=3] [BUDGET ...], BUDGET as in strategy.budget; LINK="{latency: 5ms, bandwidth: 100Mbps}" before it
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
budgets=("${@:2}")
[ ${#budgets[@]} -gt 0 ] || budgets=('{seconds: 1.5}' '{share: 0.1}')
link=${LINK:-'{latency: 5ms, bandwidth: 100Mbps}'}
basin=${BASIN:-build/release/bin/basin}
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "| budget | exchanges | spent | spent / budget |"
echo "|---|---|---|---|"
for budget in "${budgets[@]}"; do
  for ((round = 0; round < rounds; round++)); do
    rm -rf "$folder/run"
    mpirun --oversubscribe --bind-to none -n 2 "$basin" train configs/quickstart.yaml --quiet --run-dir "$folder/run" \
      --set population.members=2 --set train.steps=800 --set lmc.pairs=none --set evaluate.every_epochs=0 --set report.html=false \
      --set "comm.emulate=$link" --set "strategy.budget=$budget" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
    python3 -c 'import json, sys
spent = json.load(open(sys.argv[1]))["budget"]
print("| `%s` | %d | %.4f | %.4f |" % (sys.argv[2], spent["exchanges"], spent["spent"], spent["ratio"]))' "$folder/run/result.json" "$budget"
  done
done
