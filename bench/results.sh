#!/usr/bin/env bash
# Repeats the experiments of docs/results.md and prints their tables: mean and standard deviation over seeds.
# Usage: bench/results.sh shapes|shapes-p|fashion-mnist|cifar10-subset [--seeds 5] [--data DIR] [--out DIR]
# shapes-p chooses WASH's p for the quick start: it holds a fifth of the training images out and scores the averages on them.
# A run that is already finished is not repeated, so an interrupted call can be called again.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?shapes, shapes-p, fashion-mnist or cifar10-subset}
shift
seeds=5
data=
out=runs/results
while [ $# -gt 0 ]; do
  case "$1" in
    --seeds) seeds=$2; shift 2 ;;
    --data) data=$(realpath "$2"); shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) echo "results: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
basin=${BASIN:-build/release/bin/basin}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
rows=()
common=()
# row <name> <strategy> [--set ...]: one row of the table, the run of one seed.
row() {
  local name=$1 strategy=$2 dir=$out/$what/$1/seed-$seed
  shift 2
  [ "$seed" = 1 ] && rows+=("$out/$what/$name")
  [ -f "$dir/result.json" ] && return
  mpirun --oversubscribe --bind-to none -n "$members" "$basin" train "$config" --quiet --run-dir "$dir" "${common[@]}" \
    --set "run.seed=$seed" --set "strategy=$strategy" "$@"
}

# Evaluations between epochs and fine curves are not what these tables show.
light=(--set 'evaluate={every_epochs: 0, batch_size: 250, recalibrate_batches: 8}' --set 'lmc={points: 5, splits: [test]}')
run_seed() {
case "$what" in
  shapes)
    config=configs/quickstart.yaml members=4 common=("${light[@]}")
    row independent-different '{name: independent}' --set population.init=different
    row wash-.05 '{name: wash, p: 0.0375}'
    row papa-.9 '{name: papa, alpha: 0.9}'
    row independent '{name: independent}'
    row wash-.1-different-stop '{name: wash, p: 0.075, stop: 0.8}' --set population.init=different
    row papa-.99 '{name: papa, alpha: 0.99}'
    ;;
  shapes-p)
    config=configs/quickstart.yaml members=4 common=("${light[@]}" --set data.validation=0.2 --set lmc.pairs=none)
    for p in .01 .02 .05 .1; do row "wash-$p" "{name: wash, p: $(python3 -c "print(round($p * 0.75, 6))")}"; done
    ;;
  fashion-mnist)
    config=configs/fashion-mnist-wash.yaml members=4
    common=(--set "data.path=${data:?--data DIR with the four IDX files}" --set data.train_limit=20000 --set data.test_limit=10000
      --set population.members=4 --set 'train={steps: 1500, batch_size: 64, optimizer: {lr: 0.3, weight_decay: 5.0e-4}, schedule: {warmup_steps: 75, final_lr: 0.0}}'
      --set 'model={name: convnet}' "${light[@]}")
    row independent '{name: independent}'
    row wash-.01 '{name: wash, p: 0.0075}'
    row wash-.05 '{name: wash, p: 0.0375}'
    row papa-.9 '{name: papa, alpha: 0.9}'
    row sparta-.01 '{name: sparta, p: 0.01}'
    row sparta-.02 '{name: sparta, p: 0.02}'
    ;;
  cifar10-subset)
    config=configs/cifar10-subset-wash.yaml members=2
    common=(--set "data.path=${data:?--data DIR with data_batch_1.bin and test_batch.bin}"
      --set population.members=2 --set 'train={steps: 1500, batch_size: 64, optimizer: {lr: 0.1, weight_decay: 1.0e-4}, schedule: {final_lr: 1.0e-4}}'
      --set 'model={name: convnet}' "${light[@]}")
    row independent '{name: independent}'
    row wash-.01 '{name: wash, p: 0.005}'
    row wash-.05 '{name: wash, p: 0.025}'
    row papa-.9 '{name: papa, alpha: 0.9}'
    row sparta-.01 '{name: sparta, p: 0.01}'
    row sparta-.02 '{name: sparta, p: 0.02}'
    ;;
  *) echo "results: unknown experiment '$what'; allowed: shapes, shapes-p, fashion-mnist, cifar10-subset" >&2; exit 2 ;;
esac
}
for seed in $(seq "$seeds"); do run_seed; done
"$basin" report --markdown "${rows[@]}"
[ "$what" = shapes-p ] || exit 0
printf '\nAccuracy of the average on the held-out images:\n'
for name in "${rows[@]}"; do
  for dir in "$name"/seed-*; do "$basin" eval "$dir/config.yaml" "$dir/average.safetensors" --json; done |
    python3 -c '
import json, statistics, sys
decoder, text, values = json.JSONDecoder(), sys.stdin.read().strip(), []
while text:
    report, end = decoder.raw_decode(text)
    values.append(100 * report["models"][0]["validation"]["accuracy"])
    text = text[end:].strip()
print(f"{sys.argv[1]}: {statistics.mean(values):.2f} +- {statistics.stdev(values) if len(values) > 1 else 0:.2f} ({len(values)} seeds)")
' "$(basename "$name")"
done
