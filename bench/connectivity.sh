#!/usr/bin/env bash
# Repeats the experiments with networks that were trained apart (docs/results.md) and prints their tables: barriers on the line between two
# networks, as they are and permuted (E2, E3), distances and R (E3), the barrier that Taylor's expansion expects (E11), the line between two
# networks that were both matched to a third (E10); averages of one to eight small networks (E9).
# Usage: bench/connectivity.sh mnist|fashion-mnist|mnist-small --data DIR [--seeds 1] [--out DIR] [--set KEY=VALUE ...]
# A run that is already finished is not repeated. --set goes to the training.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?mnist, fashion-mnist or mnist-small}
shift
seeds=1 data= out=runs/connectivity set=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seeds) seeds=$2; shift 2 ;;
    --data) data=$(realpath "$2"); shift 2 ;;
    --out) out=$2; shift 2 ;;
    --set) set+=(--set "$2"); shift 2 ;;
    *) echo "connectivity: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
basin=${BASIN:-build/release/bin/basin}
config=configs/$what-mlp.yaml
case "$what" in
  mnist-small) config=configs/mnist-mlp-small.yaml ;;
  fashion-mnist) config=configs/fashion-mnist-mlp-long.yaml ;;
esac
common=(--set "data.path=${data:?--data DIR with the four IDX files}")

train() {
  [ -f "$run/result.json" ] || "$basin" train "$config" --quiet --run-dir "$run" "${common[@]}" --set "run.seed=$seed" "${set[@]}"
}
# lmc NAME A B [OPTION ...]: the barriers between two networks.
lmc() {
  local name=$1 a=$2 b=$3
  shift 3
  [ -f "$run/$name.json" ] || "$basin" lmc "$config" "$a" "$b" "${common[@]}" --json "$@" >"$run/$name.json.part"
  [ -f "$run/$name.json" ] || mv "$run/$name.json.part" "$run/$name.json"
}
pair() {
  local m=$run/members method
  for method in none weight activation ste; do
    lmc "lmc-$method" "$m/000.safetensors" "$m/001.safetensors" --align "$method"
    [ "$method" = none ] && continue
    for b in 1 2; do
      [ -f "$run/$method-$b.safetensors" ] ||
        "$basin" match "$config" "$m/000.safetensors" "$m/00$b.safetensors" "${common[@]}" --align "$method" --out "$run/$method-$b.safetensors" --quiet
    done
    lmc "third-$method" "$run/$method-1.safetensors" "$run/$method-2.safetensors"
  done
  for b in none weight ste activation; do
    local other=$run/$b-1.safetensors
    [ "$b" = none ] && other=$m/001.safetensors
    [ -f "$run/analysis-$b/taylor.json" ] || "$basin" analyze "$config" "$m/000.safetensors" "$other" "${common[@]}" --out "$run/analysis-$b" --quiet
  done
}
averages() {
  local method k
  for method in none weight many; do
    for k in 2 3 4 5 6 7 8; do
      [ -f "$run/$method-$k.safetensors.json" ] || "$basin" merge "$config" $(ls "$run"/members/*.safetensors | head -n $k) "${common[@]}" \
        --align "$method" --out "$run/$method-$k.safetensors" --quiet
    done
  done
}
for ((seed = 1; seed <= seeds; seed++)); do
  run=$out/$what/seed-$seed
  train
  if [ "$what" = mnist-small ]; then averages; else pair; fi
done
.venv/bin/python bench/connectivity_tables.py "$what" "$out/$what" "$seeds"
