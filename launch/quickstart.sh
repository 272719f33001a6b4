#!/usr/bin/env bash
# From a bare machine to the point of Basin: sets up, builds, trains four members over MPI twice on embedded data, once alone
# (independent) and once exchanging a few weights at every step (WASH), and prints both results side by side.
# Both start from the same weights, with the same seeds and data order. Usage: launch/quickstart.sh [--all] [--seed S]
#   --all    also PAPA, and the settings that start from different weights (six rows)
set -euo pipefail
cd "$(dirname "$0")/.."
all=no
seed=1
while [ $# -gt 0 ]; do
  case "$1" in
    --all) all=yes; shift ;;
    --seed) seed=${2:?--seed needs a number}; shift 2 ;;
    -h | --help) sed -n '2,5p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "quickstart: unknown argument '$1'; allowed: --all, --seed S, --help" >&2; exit 2 ;;
  esac
done
launch/build.sh release bin/basin

basin=build/release/bin/basin
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
out=runs/quickstart
rm -rf "$out/seed-$seed"
runs=()
# row <name> <what it is> [--set ...]
row() {
  local name=$1 what=$2
  shift 2
  printf '\n== %s\n' "$what"
  mpirun --oversubscribe --bind-to none -n 4 "$basin" train configs/quickstart.yaml --quiet \
    --run-dir "$out/seed-$seed/$name" --set "run.seed=$seed" --set report.progress=on "$@"
  runs+=("$out/seed-$seed/$name")
}
row independent "four members, the same initial weights, no exchange" --set strategy='{name: independent}'
row wash "the same, but WASH permutes a few weights between the members at every step"
if [ "$all" = yes ]; then
  row papa-.9 "PAPA: every 10 steps a pull of 10 % to the mean" --set strategy='{name: papa, alpha: 0.9}'
  row papa-.99 "PAPA with the published pull of 1 %" --set strategy='{name: papa, alpha: 0.99}'
  row independent-different "four members, different initial weights, no exchange" \
    --set strategy='{name: independent}' --set population.init=different
  row wash-different "different initial weights, WASH with p = .075, off in the last 20 %" \
    --set strategy='{name: wash, p: 0.075, stop: 0.8}' --set population.init=different
fi
printf '\n'
"$basin" report "${runs[@]}" --out "$out/seed-$seed/comparison.html"
printf '\nAll rows without "different" start from the same weights. The average is ONE network; the ensemble needs four.\n'
printf 'Results and page of the run: %s/report.html\n' "${runs[@]}"
