#!/usr/bin/env bash
# Installs what Basin needs and nothing twice: Debian/Ubuntu packages, and LibTorch in ./.venv (a wheel; no Python at run time).
# Usage: launch/setup.sh [--cuda | --cpu] [--extras]
#   default    CUDA libraries exactly when an NVIDIA driver is present
#   --extras   also what some tests look at Basin with, and skip without: Chromium (pages), Slurm (job script), iproute2 (two hosts)
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH_VERSION=2.11.0
PACKAGES=(clang g++ cmake ninja-build ccache git python3 python3-venv libopenmpi-dev openmpi-bin libyaml-cpp-dev nlohmann-json3-dev
  libcli11-dev libspdlog-dev libxxhash-dev zlib1g-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc prometheus-cpp-dev openssl
  libgtest-dev libgmock-dev libbenchmark-dev)
EXTRAS=(chromium fonts-dejavu-core slurm-wlm iproute2)
# LibTorch's CPU part needs two small CUDA libraries and nothing else of the 4.6 GB.
CPU_WHEELS=("torch==$TORCH_VERSION" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

cuda=no
[ -e /proc/driver/nvidia/version ] && cuda=yes
for argument in "$@"; do
  case "$argument" in
    --cuda) cuda=yes ;;
    --cpu) cuda=no ;;
    --extras) PACKAGES+=("${EXTRAS[@]}") ;;
    -h | --help) sed -n '2,5p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) fail "unknown argument '$argument'; allowed: --cuda, --cpu, --extras, --help" ;;
  esac
done

install_packages() {
  command -v dpkg-query >/dev/null || fail "this is not Debian or Ubuntu; install by hand: ${PACKAGES[*]}"
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "no root and no sudo; ask for: apt-get install -y ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

has_wheel() { compgen -G ".venv/lib/python3*/site-packages/$1" >/dev/null; }

install_libtorch() {
  [ -n "${BASIN_TORCH_DIR:-}" ] && { say "using LibTorch at $BASIN_TORCH_DIR"; return; }
  [ -x .venv/bin/pip ] || { rm -rf .venv; python3 -m venv .venv; }
  if [ "$cuda" = yes ]; then
    has_wheel "torch-$TORCH_VERSION*.dist-info" && has_wheel nvidia/nccl/lib/libnccl.so.2 &&
      has_wheel nvidia/cu13/lib/libcublas.so.13 && has_wheel nvidia/cudnn/lib && return
    say "installing LibTorch $TORCH_VERSION with its CUDA libraries (4.6 GB)"
    .venv/bin/pip install -q --disable-pip-version-check "torch==$TORCH_VERSION"
  else
    has_wheel "torch-$TORCH_VERSION*.dist-info" && has_wheel nvidia/cu13/lib/libcudart.so.13 && return
    say "installing LibTorch $TORCH_VERSION, CPU part (1.3 GB)"
    .venv/bin/pip install -q --disable-pip-version-check --no-deps "${CPU_WHEELS[@]}"
  fi
}

install_packages
install_libtorch
say "ready (CUDA libraries: $cuda)"
