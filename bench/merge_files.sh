#!/usr/bin/env bash
# Time and memory of `basin merge --method uniform`, beside the bare price of the same bytes: all inputs read and one file of their
# size written and synced (dd), in turn. Memory is the largest anonymous memory (RssAnon) that was seen: mapped inputs are the file
# cache's, and the sum shows what the program itself takes.
# Usage: bench/merge_files.sh [ROUNDS=3] [FILES=8] [MEGABYTES=400] [TENSORS=25] [FOLDER=a temporary one]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3} files=${2:-8} megabytes=${3:-400} tensors=${4:-25}
folder=$(mktemp -d -p "${5:-${TMPDIR:-/tmp}}")
trap 'rm -rf "$folder"' EXIT
.venv/bin/python - "$folder" "$files" "$megabytes" "$tensors" <<'PYTHON'
import json
import sys

import numpy

folder, files, megabytes, tensors = sys.argv[1], *map(int, sys.argv[2:])
each = megabytes * 1_000_000 // 4 // tensors
for k in range(files):
    random = numpy.random.default_rng(k)
    header = {f"t{t:03}": {"dtype": "F32", "shape": [each], "data_offsets": [4 * each * t, 4 * each * (t + 1)]} for t in range(tensors)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/{k}.safetensors", "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _ in range(tensors):
            out.write(random.standard_normal(each, dtype=numpy.float32).tobytes())
PYTHON
seconds() { local start=$EPOCHREALTIME; "$@"; awk "BEGIN {printf \"%.2f\", $EPOCHREALTIME - $start}"; }
bare() {
  cat "$folder"/?*.safetensors | dd of=/dev/null bs=4M status=none
  dd if="$folder/0.safetensors" of="$folder/copy" bs=4M conv=fsync status=none
  rm "$folder/copy"
}
most=0
merge() {
  build/release/bin/basin merge "$folder"/[0-9]*.safetensors --out "$folder/merged" --quiet &
  local job=$! now
  while kill -0 $job 2>/dev/null; do
    now=$(awk '/RssAnon/ {print int($2 / 1000)}' "/proc/$job/status" 2>/dev/null || true)
    [ "${now:-0}" -gt "$most" ] && most=$now
    sleep 0.02
  done
  wait $job
}
for ((round = 0; round < rounds; round++)); do
  echo -n "bare $(seconds bare) s, basin merge "
  start=$EPOCHREALTIME
  merge
  awk "BEGIN {printf \"%.2f s\n\", $EPOCHREALTIME - $start}"
  rm -f "$folder"/merged*
done
echo "$files files of $megabytes MB in $tensors tensors: RssAnon at most $most MB"
