#!/usr/bin/env bash
# Kills whole runs with SIGKILL at random moments (start-up, steps, exchanges, writing of checkpoints, measurements), goes on
# with --resume until the end, and compares each with the unbroken run: weights, result.json but for seconds, metrics.jsonl
# but for times. Prints a table; exit code 1 when one differs.
# Usage: bench/kill_resume.sh [RUNS] [RANKS]     RANKS 0: threads of one process; else mpirun -n RANKS.
# Environment: SEED of the moments, CONFIG, SET (more --set, separated by spaces).
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-20}
ranks=${2:-0}
RANDOM=${SEED:-1}
program=${BASIN:-build/release/bin/basin}
config=${CONFIG:-configs/smoke.yaml}
python=${PYTHON:-python3}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
launch=()
set=(--quiet --set train.steps=100 --set lmc.points=3)
if ((ranks > 0)); then
  launch=(mpirun --allow-run-as-root --oversubscribe --bind-to none -n "$ranks")
  set+=(--set "population.members=$ranks")
fi
for entry in ${SET:-}; do set+=(--set "$entry"); done

started=$(date +%s%N)
"${launch[@]}" "$program" train "$config" --run-dir "$folder/whole" "${set[@]}" >/dev/null 2>"$folder/log"
whole_ms=$((($(date +%s%N) - started) / 1000000))

# Runs the command in a session of its own and kills all of the session, ranks included, after so many milliseconds. 0: it ended before.
run_and_kill() {
  local ms=$1
  shift
  setsid "$@" >/dev/null 2>>"$folder/log" &
  local leader=$!
  (sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" && pkill -KILL -s "$leader") 2>/dev/null &
  local watch=$!
  local code=0
  { wait "$leader" || code=$?; } 2>/dev/null
  pkill -P "$watch" || true  # its sleep
  wait "$watch" 2>/dev/null || true
  while pkill -KILL -s "$leader"; do :; done  # the next part must not meet what is still dying
  return "$code"
}

cat >"$folder/compare.py" <<'PYTHON'
import collections
import json
import sys


def result(run):
    content = json.load(open(run + "/result.json"))
    content.pop("seconds")
    return content


def records(run):
    of_member = collections.defaultdict(list)
    for line in open(run + "/metrics.jsonl"):
        record = json.loads(line)
        record.pop("time")
        record.pop("seconds", None)
        of_member[record["member"]].append(record)
    return of_member


a, b = sys.argv[1:]
weights = [m["weights_hash"] for m in result(a)["member"]] == [m["weights_hash"] for m in result(b)["member"]]
rows = ["same" if same else "DIFFERENT" for same in (weights, result(a) == result(b), records(a) == records(b))]
print(" | ".join(rows))
sys.exit("DIFFERENT" in rows)
PYTHON

echo "| run | killed after ms | weights | result | metrics |"
echo "|---|---|---|---|---|"
bad=0
for ((run = 0; run < runs; run++)); do
  dir=$folder/part-$run
  moments=()
  resume=()
  while :; do
    ms=$((200 + (RANDOM * 32768 + RANDOM) % (whole_ms * 3 / 4)))
    ((${#moments[@]} < 3)) || ms=600000
    [[ -e $dir/config.yaml ]] && resume=(--resume)
    code=0
    run_and_kill "$ms" "${launch[@]}" "$program" train "$config" --run-dir "$dir" "${set[@]}" \
      --set "checkpoint={every_steps: 3, keep: 2}" "${resume[@]}" || code=$?
    ((code != 0)) || break
    if ((code != 137)); then
      cat "$folder/log" >&2
      echo "exit code $code" >&2
      exit 1
    fi
    moments+=("$ms")
  done
  verdict=$("$python" "$folder/compare.py" "$folder/whole" "$dir") || bad=$((bad + 1))
  echo "| $run | ${moments[*]:-none} | $verdict |"
  rm -rf "$dir"
done
echo "$((runs - bad)) of $runs end as the unbroken run"
((bad == 0))
