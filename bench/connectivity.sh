#!/usr/bin/env bash
# Repeats the experiments with networks that were trained apart (docs/results.md) and prints their tables.
# Usage: bench/connectivity.sh EXPERIMENT --data DIR [--seeds 1] [--widths "1 2 4"] [--out DIR] [--set KEY=VALUE ...]
#   mnist, fashion-mnist      three MLPs: barriers as they are and permuted, distances and R, what Taylor's expansion expects, the line
#                             between two networks that were both matched to a third
#   mnist-decay, fashion-mnist-decay    two such MLPs, 40 epochs, by weight decay: distances, R and barriers, as they are and matched
#   mnist-small               averages of one to eight small MLPs
#   mnist-deep                two MLPs of fifteen hidden layers: the variance that is left in their average, layer by layer
#   mnist-many                two to eleven small MLPs: MergeMany beside the common universe, seconds and accuracy
#   cifar10-subset-vgg        two plain VGGs: their average under every correction, and one of them pruned and corrected
#   cifar10-subset-resnet20   two ResNet-20 with batch norm: their average with and without recomputed statistics, and one pruned
#   cifar10-vgg16, cifar10-resnet20, cifar10-vgg11    the same at the published size, for a machine with a GPU; cifar10-vgg11:
#                             distances and R alone
# A step that is already done is not repeated, so an interrupted call can be called again. --set goes to the training.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?which experiment? bench/connectivity.sh lists them in its first lines}
shift
seeds=1 data= out=runs/connectivity set=() widths= samples=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seeds) seeds=$2; shift 2 ;;
    --data) data=$(realpath "$2"); shift 2 ;;
    --out) out=$2; shift 2 ;;
    --set) set+=(--set "$2"); shift 2 ;;
    --widths) widths=$2; shift 2 ;;
    *) echo "connectivity: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
basin=${BASIN:-build/release/bin/basin}
: "${data:?--data DIR with the files of the data set}"
case "$what" in
  mnist) recipe=mnist-mlp kind=pair ;;
  fashion-mnist) recipe=fashion-mnist-mlp-long kind=pair ;;
  mnist-decay) recipe=mnist-mlp kind=decay ;;
  fashion-mnist-decay) recipe=fashion-mnist-mlp-long kind=decay ;;
  mnist-small) recipe=mnist-mlp-small kind=averages ;;
  mnist-deep) recipe=mnist-deep-mlp kind=deep ;;
  mnist-many) recipe=mnist-mlp-small kind=many set=(--set population.members=11 "${set[@]}") ;;
  cifar10-subset-vgg) recipe=$what kind=plain samples=(--samples 2000) ;;
  cifar10-subset-resnet20) recipe=$what kind=batch_norm widths=${widths:-1} samples=(--samples 2000) ;;
  cifar10-vgg16) recipe=$what kind=plain ;;
  cifar10-resnet20) recipe=$what kind=batch_norm widths=${widths:-1 2 4} ;;
  cifar10-vgg11) recipe=$what kind=distances ;;
  *) echo "connectivity: unknown experiment '$what'; bench/connectivity.sh lists them in its first lines" >&2; exit 2 ;;
esac

# once FILE COMMAND ...: unless FILE is there already.
once() {
  local file=$1
  shift
  [ -f "$file" ] || "$@"
}
# train [OPTION ...]: the run of this seed in $run; what follows works with the configuration that it really had.
train() {
  once "$run/result.json" "$basin" train "configs/$recipe.yaml" --quiet --run-dir "$run" --set "data.path=$data" \
    --set "run.seed=$seed" "${set[@]}" "$@"
  config=$run/config.yaml m=$run/members
}
# lmc NAME A B [OPTION ...]: the barriers between two networks.
lmc() {
  local name=$1 a=$2 b=$3
  shift 3
  [ -f "$run/$name.json" ] && return
  "$basin" lmc "$config" "$a" "$b" --json "$@" >"$run/$name.json.part"
  mv "$run/$name.json.part" "$run/$name.json"
}
# match METHOD B: member B permuted to fit member 0, in $run/METHOD-B.safetensors.
match() {
  local to=$run/$1-$2.safetensors
  once "$to" "$basin" match "$config" "$m/000.safetensors" "$m/00$2.safetensors" --align "$1" "${samples[@]}" --out "$to" --quiet
}
# second METHOD: the file of member 1 as it is, or permuted.
second() { if [ "$1" = none ]; then echo "$m/001.safetensors"; else echo "$run/$1-1.safetensors"; fi; }
# analyze METHOD [OPTION ...]
analyze() {
  local method=$1 to=$run/analysis-$1
  shift
  once "$to/taylor.json" "$basin" analyze "$config" "$m/000.safetensors" "$(second "$method")" "$@" --out "$to" --quiet
}
# average NAME METHOD [OPTION ...]: of members 0 and 1.
average() {
  local to=$run/$1.safetensors method=$2
  shift 2
  once "$to.json" "$basin" merge "$config" "$m/000.safetensors" "$(second "$method")" "${samples[@]}" "$@" --out "$to" --quiet
}

pair() {
  local method b
  train
  for method in none weight activation ste; do
    lmc "lmc-$method" "$m/000.safetensors" "$m/001.safetensors" --align "$method"
    [ "$method" = none ] && continue
    for b in 1 2; do match "$method" "$b"; done
    lmc "third-$method" "$run/$method-1.safetensors" "$run/$method-2.safetensors"
  done
  for method in none weight ste activation; do analyze "$method"; done
}
decay() {
  local value top=$run
  for value in 0 1e-4 5e-4 1e-3 2e-3 3e-3; do
    run=$top/$value
    train --set population.members=2 --set train.epochs=40 --set "train.optimizer.weight_decay=$value"
    match weight 1
    for method in none weight; do analyze "$method"; done
  done
}
averages() {
  local method k
  train
  for method in none weight many; do
    for k in 2 3 4 5 6 7 8; do
      once "$run/$method-$k.safetensors.json" "$basin" merge "$config" $(ls "$m"/*.safetensors | head -n $k) --align "$method" \
        --out "$run/$method-$k.safetensors" --quiet
    done
  done
}
# Seconds are those of `basin merge` without --align taken away: reading, averaging and evaluating.
many() {
  local method k begin
  train
  for ((k = 2; k <= 11; k++)); do
    for method in none many universe; do
      [ -f "$run/$method-$k.seconds" ] && continue
      begin=$EPOCHREALTIME
      "$basin" merge "$config" $(ls "$m"/*.safetensors | head -n $k) --align "$method" --out "$run/$method-$k.safetensors" --quiet
      echo "$begin $EPOCHREALTIME" >"$run/$method-$k.seconds"
    done
  done
}
# prune NAME OPTION ...: member 0.
prune() {
  local to=$run/$1.safetensors
  shift
  once "$to.json" "$basin" prune "$config" "$m/000.safetensors" "$@" --out "$to" --quiet
}
# pruned CORRECTION ...: member 0 at every sparsity, by both scopes, corrected from 64, 128 and 256 images.
pruned() {
  local scope sparsity renorm samples
  for scope in global layer; do
    for sparsity in .5 .7 .8 .9; do
      for renorm in "$@"; do
        for samples in 64 128 256; do
          prune "pruned-$scope-$sparsity-$renorm-$samples" --scope "$scope" --sparsity "$sparsity" --renorm "$renorm" --samples "$samples"
        done
      done
    done
  done
}
# corrected [OPTION ...]: the average under every correction; the options go to the analysis.
corrected() {
  local method renorm
  for method in none weight activation; do
    [ "$method" = none ] || match "$method" 1
    average "average-$method-none" "$method"
    for renorm in repair rescale reshift; do
      average "average-$method-$renorm" "$method" --renorm "$renorm"
      average "average-$method-$renorm-sequential" "$method" --renorm "$renorm" --form sequential
    done
    average "average-$method-repair-closed" "$method" --renorm repair --form closed
    average "average-$method-rescale-averaged" "$method" --renorm rescale --averaged
    average "average-$method-calibrated" "$method" --calibrate-bias
    analyze "$method" "$@"
  done
}
plain() {
  train
  corrected --samples 1000
  pruned rescale repair
}
deep() {
  train
  corrected --renorm repair --form sequential
}
batch_norm() {
  local method width top=$run
  for width in $widths; do
    run=$top/x$width
    train --set "model.width=$width"
    for method in none weight activation; do
      [ "$method" = none ] || match "$method" 1
      average "average-$method-none" "$method"
      average "average-$method-reset" "$method" --renorm reset
      analyze "$method" --samples 1000
    done
    pruned reset
  done
}
distances() {
  local method
  train
  match weight 1
  for method in none weight; do analyze "$method" --samples 1000; done
}
for ((seed = 1; seed <= seeds; seed++)); do
  run=$out/$what/seed-$seed
  "$kind"
done
.venv/bin/python bench/connectivity_tables.py "$kind" "$out/$what" "$seeds" $widths
