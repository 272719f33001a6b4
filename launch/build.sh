#!/usr/bin/env bash
# Sets up, configures and builds one preset. Usage: launch/build.sh [release|asan|tsan|cuda] [ninja targets ...]
# With an NVIDIA driver present, `release` is built with CUDA and NCCL.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
shift || true
setup=()
options=()
if [ "$preset" = cuda ]; then
  setup=(--cuda)
elif [ "$preset" = release ] && [ -e /proc/driver/nvidia/version ]; then
  options=(-DBASIN_CUDA=ON)
fi
launch/setup.sh "${setup[@]}"
[ -f "build/$preset/build.ninja" ] && [ ${#options[@]} -eq 0 ] || cmake --preset "$preset" "${options[@]}" >/dev/null
# A file needs up to 1.5 GB while LibTorch's headers are compiled.
jobs=$(nproc)
memory_gb=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
[ $((memory_gb / 2)) -lt "$jobs" ] && jobs=$((memory_gb / 2 > 0 ? memory_gb / 2 : 1))
ninja -C "build/$preset" -j "$jobs" --quiet "$@"
