#!/usr/bin/env bash
# Runs every command once on the smallest run and writes what it printed: docs/commands.sh > docs/commands.md
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/build/release/bin
export PATH=$bin:$PATH OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TERM=dumb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r configs "$work/configs"
cd "$work"

# A command as a person types it, then what it prints (standard error too), cut to the first LINES lines.
show() {
  local lines=$1
  shift
  printf '```\n$ %s\n' "$*"
  { bash -c "$*" 2>&1 || true; } | sed "s|$work/||g; s|$bin/||g" | awk -v most="$lines" '
    NR <= most {print substr($0, 1, 160)} END {if (NR > most) print "... (" NR - most " lines more)"}'
  printf '```\n\n'
}

cat <<'TEXT'
# Every command, with what it printed

Written by `docs/commands.sh`, which runs each command on `configs/smoke.yaml` (two small members, 20 steps: nothing is learnt, so the figures mean nothing). Long outputs are cut. All
take `--help`, `--set KEY=VALUE`, `--log-level` and, where they print figures, `--json`.

TEXT
echo "## check"; echo; show 30 'basin check configs/smoke.yaml'
echo "## plan"; echo; show 30 'basin plan configs/smoke.yaml --link 100Mbps,1ms'
echo "## train"; echo; show 60 'basin train configs/smoke.yaml --run-dir runs/a'
show 4 'mpirun -n 2 --oversubscribe basin train configs/smoke.yaml --run-dir runs/b --set strategy.name=papa --quiet'
show 12 'basin train configs/smoke.yaml --run-dir runs/a'
echo "## eval"; echo; show 12 'basin eval configs/smoke.yaml runs/a/members/000.safetensors runs/a/average.safetensors'
echo "## merge"; echo; show 20 'basin merge configs/smoke.yaml runs/a/members/000.safetensors runs/b/members/000.safetensors --align weight --renorm reset --out merged.safetensors'
echo "## match"; echo; show 20 'basin match configs/smoke.yaml runs/a/members/000.safetensors runs/b/members/001.safetensors --out fitted.safetensors'
echo "## lmc"; echo; show 12 'basin lmc configs/smoke.yaml runs/a/members/000.safetensors runs/a/members/001.safetensors --out lmc'
echo "## analyze"; echo; show 20 'basin analyze configs/smoke.yaml runs/a/members/000.safetensors runs/b/members/000.safetensors --out analysis'
echo "## prune"; echo; show 12 'basin prune configs/smoke.yaml runs/a/members/000.safetensors --sparsity 0.5 --renorm reset --out pruned.safetensors'
echo "## inspect"; echo; show 12 'basin inspect runs/a/average.safetensors'
show 6 'basin inspect runs/a/average.safetensors --diff runs/a/average_raw.safetensors'
echo "## export"; echo; show 6 'basin export runs/a/average.safetensors --to pth --out average.pth'
echo "## report"; echo; show 10 'basin report runs/a runs/b'
show 4 'basin report runs/a --out report.html'
cat >sweep.yaml <<'YAML'
base: configs/smoke.yaml
grid:
  strategy: [{name: wash, p: 0.05}, {name: papa, every_steps: 5}]
seeds: [1, 2]
YAML
echo "## sweep"; echo; show 12 'cat sweep.yaml'
show 30 'basin sweep sweep.yaml --out sweep'
echo "## status"; echo; show 6 'basin status --coordinator 127.0.0.1:1'
echo "## basin-coordinator"; echo; show 12 'timeout -s INT 2 basin-coordinator --listen 127.0.0.1:0 --run-dir coordinator'
echo "## version"; echo; show 10 'basin --version'
