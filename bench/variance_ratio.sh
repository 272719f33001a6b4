#!/usr/bin/env bash
# What averaging does to the variance of a deep network's activations, before and after matching and repair: the table of docs/results.md.
#   bench/variance_ratio.sh --data FOLDER_OF_MNIST [--out DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
basin=$here/build/release/bin/basin config=$here/configs/mnist-deep-mlp.yaml data="" out=runs/variance-ratio
while [[ $# -gt 0 ]]; do
  case $1 in
    --data) data=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) echo "variance_ratio.sh: unknown option $1; allowed: --data FOLDER, --out DIR" >&2; exit 2 ;;
  esac
done
set_data=()
[[ -n $data ]] && set_data=(--set "data.path=$(realpath "$data")")
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
[[ -f $out/run/result.json ]] || "$basin" train "$config" "${set_data[@]}" --run-dir "$out/run" --quiet
a=$out/run/members/000.safetensors b=$out/run/members/001.safetensors fitted=$out/fitted.safetensors
"$basin" match "$config" "${set_data[@]}" "$a" "$b" --out "$fitted"
for pair in "as_they_are $b" "matched $fitted"; do
  read -r name other <<<"$pair"
  echo "== $name"
  "$basin" analyze "$config" "${set_data[@]}" "$a" "$other" --renorm repair --form sequential --out "$out/$name"
done
echo "== test accuracy and loss of the average"
for pair in "as_they_are $b" "matched $fitted"; do
  read -r name other <<<"$pair"
  for how in "--renorm none" "--renorm repair" "--renorm repair --form sequential" "--renorm repair --form closed" "--renorm rescale" \
             "--renorm rescale --form sequential" "--renorm reshift" "--calibrate-bias" "--calibrate-bias --temperature"; do
    # shellcheck disable=SC2086  # several words on purpose
    printf '%-12s %-34s %s\n' "$name" "$how" "$("$basin" merge "$config" "${set_data[@]}" "$a" "$other" $how --out "$out/merged.safetensors" | head -1 | sed 's/.*test //')"
  done
done
