#!/usr/bin/env bash
# Builds the fuzz targets with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each from its corpus in
# tests/fuzz/corpus. New inputs stay in build/fuzz; an input that breaks a parser is left in build/fuzz/findings.
# Usage: launch/fuzz.sh [RUNS=1000000] [TARGET ...]
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-1000000}
shift || true
[ $# -gt 0 ] || set -- safetensors pth messages idx cifar config manifest
launch/build.sh fuzz fuzz_programs
export OMP_NUM_THREADS=1
# LibTorch's and gRPC's containers are not instrumented, so theirs cannot be followed.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_container_overflow=0:detect_leaks=0}
mkdir -p build/fuzz/findings
for target in "$@"; do
  mkdir -p "build/fuzz/new/$target"
  echo "== $target: $runs runs"
  build/fuzz/bin/fuzz_"$target" -runs="$runs" -artifact_prefix="build/fuzz/findings/$target-" -print_final_stats=1 -verbosity=0 \
    -max_len="${MAX_LEN:-4096}" "build/fuzz/new/$target" "tests/fuzz/corpus/$target"
done
