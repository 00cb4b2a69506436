#!/usr/bin/env bash
# A throw-away Slurm of several nodes on this one machine, to try the batch path and to test it.
#
#     slurm/local-cluster.sh start  [--dir DIR] [--nodes N]   start it, or what of it is not running
#     slurm/local-cluster.sh stop   [--dir DIR]               end its jobs and daemons, remove DIR
#     slurm/local-cluster.sh status [--dir DIR]               exit status 0: running, 1: not
#
# `start` prints the environment that makes sbatch, squeue, srun and mpirun use it:
#
#     eval "$(slurm/local-cluster.sh start)"
#
# It is a real slurmctld with one real slurmd per node, all on the loopback device, with a munge of its
# own; configuration, keys, logs and sockets are in DIR (default: ptqscale-slurm-UID in $TMPDIR or /tmp),
# so it touches no other Slurm on the machine. Nodes are called n1 … nN and share the machine's cores as
# evenly as they can. Works as root (in a container, too) and as an ordinary user, whose jobs it then runs.
set -euo pipefail

here=local-cluster
mark=.ptqscale-local-cluster

fail() {
    echo "$here: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
}

# ---- processes ----

# alive PIDFILE NAME: the process is there and is this program (pids are used again); not one that is dead
# and whose parent does not care (it has no command line).
alive() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] &&
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] &&
        [ -n "$({ tr -d '\0' <"/proc/$pid/cmdline"; } 2>/dev/null)" ]
}

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until() {
    local end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.1
    done
}

gone() {
    ! alive "$@"
}

# end PIDFILE NAME: TERM, then KILL.
end() {
    alive "$1" "$2" || return 0
    kill "$(cat "$1")" 2>/dev/null || true
    if ! wait_until 10 gone "$1" "$2"; then
        kill -KILL "$(cat "$1")" 2>/dev/null || true
        wait_until 5 gone "$1" "$2" || true
    fi
}

# What is left of this cluster: processes with its configuration in their environment that are Slurm's own
# or belong to a job. The shell of a user who has sourced the environment does not.
left_behind() {
    local folder own
    for folder in /proc/[0-9]*; do
        case $(cat "$folder/comm" 2>/dev/null) in
        slurmctld | slurmd | slurmstepd | slurmscriptd) own=1 ;;
        *) own=0 ;;
        esac
        if { tr '\0' '\n' <"$folder/environ"; } 2>/dev/null |
            awk -v conf="SLURM_CONF=$dir/slurm.conf" -v b="$own" \
                '$0 == conf { a = 1 } /^SLURM_JOB_ID=/ { b = 1 } END { exit !(a && b) }'; then
            echo "${folder#/proc/}"
        fi
    done
}

# ---- configuration ----

# free_ports COUNT FIRST: that many consecutive ports on which nothing listens.
free_ports() {
    local first=$2 port
    while [ "$first" -lt 60000 ]; do
        for ((port = first; port < first + $1; port++)); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                first=$((port + 1))
                continue 2
            fi
        done
        echo "$first"
        return
    done
    fail "no free ports"
}

write_configuration() {
    local ports cores each memory user
    user=$(id -un)
    # Two clusters that start at the same moment should not look at the same ports.
    ports=$(free_ports $((nodes + 1)) $((17000 + $$ % 8000)))
    cores=$(nproc)
    each=$((cores / nodes > 0 ? cores / nodes : 1))
    memory=$(awk -v nodes="$nodes" '/^MemTotal/ { print int($2 / 1024 / nodes) }' /proc/meminfo)
    mkdir -p "$dir"/{ctld,log,munge,run}
    for ((i = 1; i <= nodes; i++)); do
        mkdir -p "$dir/n$i"
    done
    cat >"$dir/slurm.conf.new" <<END
# Written by slurm/local-cluster.sh.
ClusterName=ptqscale-local
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$ports
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
# A job that is requeued waits for cred_expire seconds.
AuthInfo=socket=$dir/munge/socket,cred_expire=5
StateSaveLocation=$dir/ctld
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdSpoolDir=$dir/%n
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmdLogFile=$dir/log/slurmd.%n.log
# One per node, or the nodes' PMIx folders collide.
TmpFS=$dir/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2
MpiDefault=pmix
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=5
MessageTimeout=10
MinJobAge=3600
MailProg=/bin/true
NodeName=n[1-$nodes] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((ports + 1))-$((ports + nodes))] CPUs=$each RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    echo "$nodes" >"$dir/nodes"
    mv "$dir/slurm.conf.new" "$dir/slurm.conf"
}

# ---- daemons ----

munge_answers() {
    munge --socket="$dir/munge/socket" --no-input >/dev/null 2>&1
}

start_munge() {
    if ! alive "$dir/munge/pid" munged || ! munge_answers; then
        end "$dir/munge/pid" munged
        if [ ! -f "$dir/munge/key" ]; then
            (umask 077 && head -c 128 /dev/urandom >"$dir/munge/key")
        fi
        munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
            --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" \
            >"$dir/log/munged.out" 2>&1 ||
            fail "munged does not start: $(tail -n 3 "$dir/log/munged.out")"
        wait_until 10 munge_answers || fail "munged does not answer; see $dir/munge/log"
    fi
}

start_daemons() {
    local node
    if ! alive "$dir/run/slurmctld.pid" slurmctld; then
        slurmctld >"$dir/log/slurmctld.out" 2>&1 ||
            fail "slurmctld does not start: $(tail -n 3 "$dir/log/slurmctld.log" 2>/dev/null)"
    fi
    for ((i = 1; i <= nodes; i++)); do
        node=n$i
        if ! alive "$dir/run/slurmd.$node.pid" slurmd; then
            slurmd -N "$node" >"$dir/log/slurmd.$node.out" 2>&1 ||
                fail "slurmd $node does not start: $(tail -n 3 "$dir/log/slurmd.$node.log" 2>/dev/null)"
        fi
    done
}

# ready: every node is up. A node that was down comes back when its slurmd has registered.
ready() {
    [ "$(sinfo -h -N -t idle,alloc,mix,comp -o %N 2>/dev/null | sort -u | wc -l)" -eq "$nodes" ] &&
        ! sinfo -h -N -o %t 2>/dev/null | grep -q '[*]'
}

running() {
    [ -f "$dir/slurm.conf" ] || return 1
    alive "$dir/munge/pid" munged || return 1
    alive "$dir/run/slurmctld.pid" slurmctld || return 1
    for ((i = 1; i <= nodes; i++)); do
        alive "$dir/run/slurmd.n$i.pid" slurmd || return 1
    done
}

print_environment() {
    cat <<END
export SLURM_CONF=$(printf '%q' "$dir/slurm.conf")
export OMPI_MCA_btl_vader_single_copy_mechanism=none # containers forbid what it would do
END
    if [ "$(id -u)" -eq 0 ]; then
        echo "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
    fi
}

# ---- commands ----

start() {
    local program
    for program in munged munge slurmctld slurmd sinfo; do
        command -v "$program" >/dev/null ||
            fail "$program is missing; on Debian: apt-get install slurmctld slurmd slurm-client munge"
    done
    if [ -e "$dir" ] && [ ! -f "$dir/$mark" ] && [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then
        fail "$dir is not empty and not of this script; give another --dir"
    fi
    mkdir -p "$dir"
    [ -O "$dir" ] || fail "$dir belongs to somebody else; give another --dir"
    : >"$dir/$mark"
    if [ -f "$dir/slurm.conf" ]; then
        nodes=$(cat "$dir/nodes")
        [ -z "$wanted" ] || [ "$wanted" -eq "$nodes" ] ||
            fail "$dir is a cluster of $nodes nodes; stop it first"
    else
        nodes=${wanted:-2}
        write_configuration
    fi
    start_munge
    start_daemons
    wait_until 30 ready || fail "the nodes do not come up; see $dir/log ($(sinfo -h -N -o '%N %T' 2>&1 | tr '\n' ' '))"
    print_environment
    echo "$here: $nodes nodes are up in $dir" >&2
}

no_jobs() {
    [ -z "$(squeue -h 2>/dev/null)" ]
}

stop() {
    local pids
    if [ ! -e "$dir" ]; then
        echo "$here: nothing is there in $dir" >&2
        return
    fi
    [ -f "$dir/$mark" ] || fail "$dir is not of this script; it is left alone"
    nodes=$(cat "$dir/nodes" 2>/dev/null || echo 0)
    if alive "$dir/run/slurmctld.pid" slurmctld && ! no_jobs; then
        squeue -h -o %A 2>/dev/null | sort -u | xargs -r scancel >/dev/null 2>&1 || true
        wait_until 10 no_jobs || true
    fi
    for ((i = 1; i <= nodes; i++)); do
        end "$dir/run/slurmd.n$i.pid" slurmd
    done
    end "$dir/run/slurmctld.pid" slurmctld
    pids=$(left_behind)
    # shellcheck disable=SC2086 # one word per process
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
    end "$dir/munge/pid" munged
    rm -rf "$dir"
    echo "$here: stopped, $dir removed" >&2
}

status() {
    nodes=$(cat "$dir/nodes" 2>/dev/null || echo 0)
    if ! running; then
        echo "$here: not running in $dir"
        return 1
    fi
    echo "$here: running in $dir"
    print_environment
    sinfo -N -o '%8N %12T %5c %8m %10P %E'
    squeue
}

command=${1:-}
[ $# -eq 0 ] || shift
dir=${TMPDIR:-/tmp}/ptqscale-slurm-$(id -u)
wanted=
while [ $# -gt 0 ]; do
    case $1 in
    --dir=*) dir=${1#*=} ;;
    --nodes=*) wanted=${1#*=} ;;
    --dir | --nodes)
        [ $# -ge 2 ] || { echo "$here: $1 needs a value" >&2 && exit 2; }
        if [ "$1" = --dir ]; then dir=$2; else wanted=$2; fi
        shift
        ;;
    *) echo "$here: unknown argument $1 (--help)" >&2 && exit 2 ;;
    esac
    shift
done
case $wanted in
'' | [1-9] | [1-9][0-9]) ;;
*) echo "$here: --nodes: \"$wanted\" is not a number from 1 to 99" >&2 && exit 2 ;;
esac
[ -n "$dir" ] || { echo "$here: --dir: the name is empty" >&2 && exit 2; }
case $dir in
*[[:space:],]*) echo "$here: --dir: Slurm's configuration allows no blank and no comma in \"$dir\"" >&2 && exit 2 ;;
esac
dir=$(realpath -m -- "$dir")
export SLURM_CONF=$dir/slurm.conf
PATH=$PATH:/usr/sbin:/sbin # where an ordinary user's PATH has no daemons
nodes=0

case $command in
start | stop | status) "$command" ;;
-h | --help | help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
