#!/usr/bin/env bash
# A Slurm of one node, started for this test and stopped after it, runs launch/slurm.sbatch with two tasks. Prints the job's log and its
# state. Usage: slurm.sh BASIN FOLDER srun|mpirun CHECKPOINT CONFIG [options of basin train]        exit code 77: no Slurm here
# CHECKPOINT: when this file is there, the job gets the signal that announces its time limit; "none": it runs through.
set -u
basin=$1 folder=$2 launcher=$3 checkpoint=$4
shift 4
here=$(cd "$(dirname "$0")/../.." && pwd)
command -v slurmctld >/dev/null && command -v slurmd >/dev/null && [ "$(id -u)" -eq 0 ] || { echo "no Slurm here (launch/setup.sh --extras), or not root"; exit 77; }
mkdir -p "$folder/state" "$folder/spool"
host=$(hostname -s)
cat >"$folder/slurm.conf" <<CONF
ClusterName=basin
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((20000 + $$ % 20000))
SlurmdPort=$((20001 + $$ % 20000))
AuthType=auth/none
SchedulerParameters=sched_interval=2
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
stop() {
  for daemon in slurmd slurmctld; do [ -f "$folder/$daemon.pid" ] && kill "$(cat "$folder/$daemon.pid")" 2>/dev/null; done
}
trap stop EXIT
slurmctld -i && slurmd || { cat "$folder"/*.log; exit 1; }
export BASIN=$basin BASIN_LAUNCHER=$launcher OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
submit=(sbatch --parsable --ntasks=2 --output="$folder/job.log" "$here/launch/slurm.sbatch" "$@")
if [ "$checkpoint" = none ]; then
  "${submit[@]:0:1}" --wait "${submit[@]:1}"  # returns with the job's exit code
  code=$?
else
  job=$("${submit[@]}")
  state() { scontrol show job "$job" 2>/dev/null | grep -o "$1=[^ ]*" | cut -d= -f2; }
  until_true() { for ((k = 0; k < 1500; k++)); do "$@" && return; sleep .1; done; }
  has_checkpoint() { [ -e "$checkpoint" ]; }
  has_ended() { [ "$(state Restarts)" -gt 0 ] && case "$(state JobState)" in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) false ;; esac; }
  is_queued_again() { [ "$(state Restarts)" -gt 0 ] && [ "$(state JobState)" = PENDING ] || has_ended; }
  until_true has_checkpoint
  scancel --signal=USR1 --batch "$job"
  until_true is_queued_again
  scontrol update "JobId=$job" StartTime=now  # Slurm lets a job wait for two minutes after it was put back
  until_true has_ended
  code=$(state ExitCode | cut -d: -f1)
  echo "state $(state JobState), restarts $(state Restarts)"
fi
cat "$folder/job.log"
echo "exit $code"
