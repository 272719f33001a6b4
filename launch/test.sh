#!/usr/bin/env bash
# Sets up, builds and runs all tests that need no GPU; ends with ctest's summary.
# Usage: launch/test.sh [--label unit|mpi|e2e|gpu|slow] [--preset release|asan|tsan|cuda]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=release
select=(-LE gpu)
while [ $# -gt 0 ]; do
  case "$1" in
    --label) select=(-L "^${2:?--label needs a name}\$"); shift 2 ;;
    --preset) preset=${2:?--preset needs a name}; shift 2 ;;
    -h | --help) sed -n '2,3p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "test: unknown argument '$1'; allowed: --label L, --preset P, --help" >&2; exit 2 ;;
  esac
done
# The sanitizers are for our own threads and memory; processes under mpirun are tested in the other presets.
targets=()
case "$preset" in asan | tsan) [ "${select[0]}" = -LE ] && select=(-L '^unit$') && targets=(unit_tests) ;; esac
# The system's gRPC and abseil are not instrumented: what passes from thread to thread through them would all be reported as a race.
# The parts of the coordinator behind them are tested with threads of their own.
[ "$preset" = tsan ] && select+=(-LE '^grpc$')
launch/build.sh "$preset" "${targets[@]}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/tests/support/tsan.supp}
ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "${select[@]}"
