#!/usr/bin/env bash
# Time from SIGKILL of one rank to the next step of the others, with coordinator.on_loss continue: one of three members, each in
# turn, is killed at a random moment of its run, again and again. Prints every time and the distribution.
# Usage: bench/recovery.sh [TIMES=20] [HEARTBEAT_SECONDS=2.0]
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:-20}
heartbeat=${2:-2.0}
basin=${BASIN:-$PWD/build/release/bin/basin}
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
set -m
finished=0
for ((k = 0; k < times; k++)); do
  run=$folder/$k
  mpirun --enable-recovery --oversubscribe --bind-to none -n 3 "$basin" train configs/smoke.yaml --run-dir "$run" --set train.steps=800 \
    --set population.members=3 --set coordinator.on_loss=continue --set coordinator.heartbeat_s="$heartbeat" >"$run.out" 2>"$run.err" &
  job=$!
  until grep -q step "$run/metrics.jsonl" 2>/dev/null; do
    kill -0 $job || { cat "$run.err"; exit 1; }
  done
  sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
  victim=$(pgrep -f "^[^ ]*basin[^ ]* train .*$run " | sort -n | sed -n "$((k % 3 + 1))p")
  date +%s.%N >"$run.killed"
  kill -KILL "$victim"
  if wait $job && [ -f "$run/result.json" ] && grep -q '"lost"' "$run/result.json"; then finished=$((finished + 1)); else cat "$run.err"; fi
done
echo "$finished of $times runs finished without the lost member (heartbeat $heartbeat s)"
python3 - "$folder" "$times" <<'PYTHON'
import json
import sys

folder, times = sys.argv[1], int(sys.argv[2])
waits = []
for k in range(times):
    killed = float(open(f"{folder}/{k}.killed").read())
    records = [json.loads(line) for line in open(f"{folder}/{k}/metrics.jsonl")]
    lost = next(r for r in records if r["kind"] == "event" and r.get("event") == "lost")
    # The first exchange of the new group: every survivor has taken a step again.
    next_steps = [r["time"] for r in records if r["kind"] == "exchange" and r["time"] > lost["time"]]
    waits.append(min(next_steps) - killed)
waits.sort()
print("seconds to the next exchange of the others: " + " ".join(f"{w:.2f}" for w in waits))
print(f"median {waits[len(waits) // 2]:.2f}, worst {waits[-1]:.2f}")
PYTHON
