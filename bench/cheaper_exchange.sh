#!/usr/bin/env bash
# What rounded, late, fewer and coupled exchanges do to the accuracy of the average. Small networks on generated pictures, paired by seed.
#   bench/cheaper_exchange.sh [SEEDS] [--out DIR]
# A run that is in DIR already is not run again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seeds=5 out=$here/runs/cheaper-exchange
while [[ $# -gt 0 ]]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    [0-9]*) seeds=$1; shift ;;
    *) echo "cheaper_exchange.sh: unknown option $1; allowed: SEEDS, --out DIR" >&2; exit 2 ;;
  esac
done
basin=${BASIN:-$here/build/release/bin/basin}
export OMP_NUM_THREADS=1
wash="name: wash, p: 0.05" sparta="name: sparta, p: 0.02"
variants=(
  "independent|name: independent"
  "wash|$wash"
  "wash bfloat16|$wash, payload: bfloat16"
  "wash float8_e4m3|$wash, payload: float8_e4m3"
  "wash float8_e5m2|$wash, payload: float8_e5m2"
  "wash delay 1|$wash, delay_steps: 1"
  "wash delay 5|$wash, delay_steps: 5"
  "wash delay 10|$wash, delay_steps: 10"
  "wash delay 10 correction 0|$wash, delay_steps: 10, correction: 0"
  "wash delay 5 float8_e4m3|$wash, delay_steps: 5, payload: float8_e4m3"
  "wash optimizer_state|$wash, optimizer_state: true"
  "wash optimizer_state float8_e4m3|$wash, optimizer_state: true, payload: float8_e4m3"
  "wash schedule lr|$wash, schedule: lr"
  "wash start 0.5|$wash, start: 0.5"
  "sparta|$sparta"
  "sparta float8_e4m3|$sparta, payload: float8_e4m3"
  "sparta delay 5|$sparta, delay_steps: 5"
  "sparta delay 5 float8_e4m3|$sparta, delay_steps: 5, payload: float8_e4m3"
)
for ((seed = 1; seed <= seeds; seed++)); do
  for variant in "${variants[@]}"; do
    run="$out/${variant%%|*}/$seed"
    [[ -f $run/result.json ]] && continue
    rm -rf "$run"
    "$basin" train "$here/configs/quickstart.yaml" --run-dir "$run" --quiet --set run.seed="$seed" --set population.members=3 \
      --set data.train_limit="${LIMIT:-2000}" --set model.width="${WIDTH:-0.5}" --set train.steps="${STEPS:-300}" \
      --set train.batch_size=32 \
      --set train.schedule.warmup_steps=30 --set train.optimizer.lr=0.1 --set "strategy={${variant#*|}}" --set evaluate.every_epochs=0 \
      --set lmc.pairs=none --set report.tensorboard=false >/dev/null
  done
done
python3 - "$out" "$seeds" "${variants[@]%%|*}" <<'PYTHON'
import json
import statistics
import sys

out, seeds, names = sys.argv[1], range(1, int(sys.argv[2]) + 1), sys.argv[3:]


def results(name):
    return [json.load(open(f"{out}/{name}/{seed}/result.json")) for seed in seeds]


def spread(values):
    return f"{100 * statistics.mean(values):.2f} +- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else f"{100 * values[0]:.2f}"


print("| exchange | bytes a rank | average % | members % | ensemble % | average minus its base % |")
print("|---|---|---|---|---|---|")
for name in names:
    runs, base = results(name), results(name.split()[0])
    average = [run["average"]["test_accuracy"] for run in runs]
    difference = [own - run["average"]["test_accuracy"] for own, run in zip(average, base)]
    print(f"| {name} | {statistics.mean(run['bytes']['payload_per_rank'] for run in runs):.0f} | {spread(average)} "
          f"| {spread([run['mean_member']['test_accuracy'] for run in runs])} "
          f"| {spread([run['ensemble']['test_accuracy'] for run in runs])} "
          f"| {'' if len(name.split()) == 1 else spread(difference)} |")
PYTHON
