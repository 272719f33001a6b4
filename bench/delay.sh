#!/usr/bin/env bash
# How much of a training step an exchange holds up between two ranks, blocking and with delay_steps 1, in turn (ABAB): resnet20 on generated
# pictures, WASH. With --latency the ranks are in network namespaces with a slow cable between them (needs root; tests/support/slow_link.py)
# and speak TCP over it, else they share memory. Further arguments go to basin train.
#   bench/delay.sh [--rounds 2] [--latency MILLISECONDS] [--set KEY=VALUE]...
# Exposed: seconds in exchanges, waiting included, as a share of all seconds in steps and exchanges; the round with the smallest sum.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rounds=2 latency=""
while [[ $# -gt 0 ]]; do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --latency) latency=$2; shift 2 ;;
    *) break ;;
  esac
done
basin=${BASIN:-$here/build/release/bin/basin}
steps=${STEPS:-30} batch=${BATCH:-128} delays=${DELAYS:-0 1}
export OMP_NUM_THREADS=1
folder=$(mktemp -d) cable=""
a=basin-a-$$ b=basin-b-$$
cleanup() {
  [[ -n $cable ]] && kill "$cable"
  [[ -n $latency ]] && { ip netns del "$a"; ip netns del "$b"; }
  rm -rf "$folder"
}
trap cleanup EXIT
run=(mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2)
if [[ -n $latency ]]; then
  ip netns add "$a" && ip netns add "$b"
  python3 "$here/tests/support/slow_link.py" "$a" 10.78.0.1 "$b" 10.78.0.2 "$latency" >"$folder/cable" &
  cable=$!
  until grep -q up "$folder/cable"; do kill -0 "$cable"; done
  # What mpirun calls in place of ssh.
  printf '#!/bin/sh\nhost=$1; shift; case $host in 10.78.0.1) host=%s;; *) host=%s;; esac\nexec ip netns exec $host sh -c "$*"\n' \
    "$a" "$b" >"$folder/agent"
  chmod +x "$folder/agent"
  run=(ip netns exec "$a" mpirun --allow-run-as-root --bind-to none --mca plm_rsh_agent "$folder/agent" --mca btl "tcp,self"
       --mca btl_tcp_if_include 10.78.0.0/24 --mca oob_tcp_if_include 10.78.0.0/24 -H "10.78.0.1:1,10.78.0.2:1" -n 2 -x OMP_NUM_THREADS)
fi
for ((round = 0; round < rounds; round++)); do
  for delay in $delays; do
    "${run[@]}" "$basin" train "$here/configs/smoke.yaml" --run-dir "$folder/$delay-$round" --quiet \
      --set population.members=2 --set data.train_limit=2000 --set "model={name: resnet20}" \
      --set "train={steps: $steps, batch_size: $batch}" \
      --set "strategy={name: wash, p: 0.05, delay_steps: $delay}" --set evaluate.every_epochs=0 --set lmc.pairs=none \
      --set report.tensorboard=false --set coordinator.address=none "$@" >/dev/null
  done
done
python3 - "$folder" "$steps" <<'PYTHON'
import glob
import json
import os
import sys

best = {}
for path in glob.glob(sys.argv[1] + "/*/result.json"):
    delay = int(os.path.basename(os.path.dirname(path)).split("-")[0])
    result = json.load(open(path))
    seconds = result["seconds"]
    row = (seconds["train"] + seconds["exchange"], seconds["exchange"], result["bytes"]["payload_per_rank"])
    best[delay] = min(best.get(delay, row), row)
print("| delay_steps | ms a step and exchange | of it in exchanges | exposed | bytes a step |")
print("|---|---|---|---|---|")
for delay, (whole, exchange, bytes_sent) in sorted(best.items()):
    steps = int(sys.argv[2])
    share = 100 * exchange / whole
    print(f"| {delay} | {1e3 * whole / steps:.1f} | {1e3 * exchange / steps:.2f} | {share:.2f} % | {bytes_sent / steps:.0f} |")
PYTHON
