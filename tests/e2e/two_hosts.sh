#!/usr/bin/env bash
# Two members on two "hosts", which are network namespaces with a cable between them, and a basin-coordinator on the first.
#   pull: the cable is pulled once both train, and put back when the coordinator has decided
#   slow: the cable carries 100 Mbit/s and takes 5 ms each way (by the kernel's netem, else by tests/support/slow_link.py); nobody pulls it
# Prints mpirun's exit code; leaves the run in FOLDER/run.
# Usage: two_hosts.sh BIN_FOLDER CONFIG FOLDER pull|slow abort|continue [options of basin train]      needs root, iproute2; exit code 77: not here
set -u
bin=$1 config=$2 folder=$3 cable=$4 on_loss=$5
shift 5
recovery=()
[ "$on_loss" = continue ] && recovery=(--enable-recovery)
a=basin-a-$$ b=basin-b-$$
command -v ip >/dev/null && ip netns add "$a" 2>/dev/null || { echo "no network namespaces here"; exit 77; }
coordinator= slow_link=
cleanup() {
  [ -n "$slow_link" ] && kill "$slow_link" 2>/dev/null
  [ -n "$coordinator" ] && kill "$coordinator" 2>/dev/null
  ip netns del "$a"
  ip netns del "$b"
}
trap cleanup EXIT
set -e
ip netns add "$b"
plug_in() {
  ip link add cable netns "$a" type veth peer name cable netns "$b"
  ip -n "$a" addr add 10.77.0.1/24 dev cable
  ip -n "$b" addr add 10.77.0.2/24 dev cable
  for host in "$a" "$b"; do ip -n "$host" link set lo up; ip -n "$host" link set cable up; done
}
plug_in
set +e
if [ "$cable" = slow ]; then
  if ip netns exec "$a" tc qdisc add dev cable root netem delay 5ms rate 100mbit 2>/dev/null; then
    ip netns exec "$b" tc qdisc add dev cable root netem delay 5ms rate 100mbit
  else
    ip -n "$a" link del cable
    python3 "$(dirname "$0")/../support/slow_link.py" "$a" 10.77.0.1 "$b" 10.77.0.2 5 100 >"$folder/cable" 2>&1 &
    slow_link=$!
    until grep -q up "$folder/cable"; do kill -0 "$slow_link" 2>/dev/null || { echo "no slow cable here: $(cat "$folder/cable")"; exit 77; }; done
  fi
fi
# What mpirun calls in place of ssh.
printf '#!/bin/sh\nhost=$1; shift; case $host in 10.77.0.1) host=%s;; *) host=%s;; esac\nexec ip netns exec $host sh -c "$*"\n' "$a" "$b" >"$folder/agent"
chmod +x "$folder/agent"

ip netns exec "$a" "$bin/basin-coordinator" --listen 10.77.0.1:7700 --run-dir "$folder/coordinator" >/dev/null 2>&1 &
coordinator=$!
until [ -f "$folder/coordinator/coordinator.json" ]; do kill -0 "$coordinator" || exit 1; done
ip netns exec "$a" mpirun --allow-run-as-root "${recovery[@]}" --mca plm_rsh_agent "$folder/agent" --mca btl tcp,self \
  --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -H 10.77.0.1:1,10.77.0.2:1 -n 2 \
  "$bin/basin" train "$config" --run-dir "$folder/run" --set population.members=2 --set coordinator.address=10.77.0.1:7700 --set coordinator.on_loss="$on_loss" "$@" &
job=$!
if [ "$cable" = pull ]; then
  until grep -q '"exchange"' "$folder/run/metrics.jsonl" 2>/dev/null; do kill -0 "$job" || exit 1; done
  ip -n "$a" link set cable down
  until grep -q silent "$folder/coordinator/coordinator.jsonl"; do kill -0 "$job" || break; done
  ip -n "$a" link set cable up
fi
wait "$job"
echo "exit $?"
