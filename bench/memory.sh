#!/usr/bin/env bash
# Resident memory of a rank in the middle of training, in MB, while two ranks train an mlp of 21.7 M parameters (87 MB each of
# weights, gradients and momentum; activations are small) with one strategy after the other. What a strategy adds over
# independent is its exchange buffers. The median over the samples of both ranks, taken while steps are being recorded.
# Usage: bench/memory.sh [STRATEGY ...]
set -euo pipefail
cd "$(dirname "$0")/.."
basin=${BASIN:-build/release/bin/basin}
[ $# -gt 0 ] || set -- independent "wash --set strategy.p=0.001" "wash --set strategy.p=0.05" "papa --set strategy.every_steps=1"
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for strategy in "$@"; do
  # shellcheck disable=SC2086
  mpirun --oversubscribe --bind-to none -n 2 "$basin" train configs/smoke.yaml --run-dir "$folder/run" --set population.members=2 \
    --set 'model={name: mlp, norm: none, hidden: [4096, 4096]}' --set train.batch_size=8 --set train.steps=80 \
    --set evaluate.every_epochs=0 --set lmc.pairs=none --set data.test_limit=16 --set report.progress=off \
    --set strategy.name=$strategy >/dev/null 2>"$folder/err" &
  job=$!
  samples=()
  while kill -0 $job 2>/dev/null; do
    sleep 0.1
    # The last flush of the steps comes with the last step; what follows is the finish.
    if grep -q '"step",' "$folder/run/metrics.jsonl" 2>/dev/null && ! grep -q '"step":79,' "$folder/run/metrics.jsonl"; then
      for process in $(pgrep -f "^[^ ]*basin train .*$folder/run" || true); do
        samples+=("$(awk '/VmRSS/ {print int($2 / 1000)}' "/proc/$process/status" 2>/dev/null || true)")
      done
    fi
  done
  wait $job || { cat "$folder/err"; exit 1; }
  middle=$(printf '%s\n' "${samples[@]}" | sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}')
  echo "$strategy: $middle MB (${#samples[@]} samples)"
  rm -rf "$folder/run"
done
