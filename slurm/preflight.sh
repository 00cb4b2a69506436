#!/bin/bash
# Before a run: does everything that usually goes wrong on a cluster go right here?
#
#     preflight.sh --folder DIR [--program FILE] [--corpus FILE]... [--ranks N] [--memory BYTES]
#                  [-- LAUNCHER ARGUMENT...]
#
# Inside a Slurm allocation it looks at every node of it, elsewhere at this machine:
#
#   --folder DIR      the run's folder: all nodes write to the same one, it has room, locks work
#   --program FILE    ptqscale: it starts everywhere, and is the same
#   --corpus FILE     a text of the study: it is there, everywhere, and the same
#   --ranks N         ranks that will run on all nodes together,
#   --memory BYTES    each with so much memory: there is enough
#   -- LAUNCHER ...   what starts the ranks, up to the program: the ranks find each other
#
# Every problem is explained on standard error; exit status 0: none, 1: some, 2: wrong usage. Standard output
# is shell code with settings that the run needs here (locks): eval "$(preflight.sh ...)".
# The batch script that `ptqscale submit` writes calls it; by hand: salloc -N 2, then this script.
set -uo pipefail
export LC_ALL=C

folder='' program='' ranks=1 memory=0 probe=''
corpus=() launcher=()
usage() {
    echo "preflight: $1; usage: preflight.sh --folder DIR [--program FILE] [--corpus FILE]... [--ranks N]" \
        "[--memory BYTES] [-- LAUNCHER ARGUMENT...]" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
        exit 0
        ;;
    --)
        shift
        launcher=("$@")
        break
        ;;
    --folder | --program | --corpus | --ranks | --memory | --probe)
        [ $# -ge 2 ] || usage "$1 needs a value"
        case $1 in
        --folder) folder=$2 ;;
        --program) program=$2 ;;
        --corpus) corpus+=("$2") ;;
        --ranks) ranks=$2 ;;
        --memory) memory=$2 ;;
        --probe) probe=$2 ;; # used by this script itself: look at this node, for that token
        esac
        shift
        ;;
    *) usage "unknown argument $1" ;;
    esac
    shift
done
[ -n "$folder" ] || usage "--folder is missing"
case $ranks$memory in *[!0-9]*) usage "--ranks and --memory are whole numbers" ;; esac

# ---- one node ----

# Kilobytes that this node can still give: what is free, and what Slurm allows.
memory_left() {
    local left
    left=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
    if [ "${SLURM_MEM_PER_NODE:-0}" -gt 0 ] && [ $((SLURM_MEM_PER_NODE * 1024)) -lt "$left" ]; then
        left=$((SLURM_MEM_PER_NODE * 1024))
    elif [ "${SLURM_MEM_PER_CPU:-0}" -gt 0 ] &&
        [ $((SLURM_MEM_PER_CPU * ${SLURM_CPUS_ON_NODE:-1} * 1024)) -lt "$left" ]; then
        left=$((SLURM_MEM_PER_CPU * ${SLURM_CPUS_ON_NODE:-1} * 1024))
    fi
    echo "$left"
}

# look TOKEN: one line per fact, NODE KEY VALUE.
look() {
    local node=${SLURMD_NODENAME:-$(hostname)} file mark="$folder/.preflight-$1" i=0
    fact() {
        printf '%s\t%s\t%s\n' "$node" "$1" "$2"
    }
    # Network file systems show a new file late.
    for ((i = 0; i < 20; i++)); do
        [ ! -e "$mark" ] || break
        ls "$folder" >/dev/null 2>&1
        sleep 0.5
    done
    if [ ! -d "$folder" ]; then
        fact folder missing
    elif [ ! -e "$mark" ]; then
        fact folder other
    elif ! { echo "$node" >"$mark.$node"; } 2>/dev/null; then
        fact folder readonly
    else
        fact folder ok
        # As HDF5 locks its files: unlocked files are no problem, a lock that fails is.
        if command -v flock >/dev/null && ! flock -xn "$mark.$node" true 2>/dev/null; then
            fact locks no
        fi
        fact room "$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    fi
    for ((i = 0; i < ${#corpus[@]}; i++)); do
        file=${corpus[i]}
        if [ ! -e "$file" ]; then
            fact "corpus$i" missing
        elif [ ! -f "$file" ] || ! head -c 1 "$file" >/dev/null 2>&1; then
            fact "corpus$i" unreadable
        else
            fact "corpus$i" "$(stat -Lc %s "$file")"
        fi
    done
    if [ -n "$program" ]; then
        fact program "$({ "$program" --version 2>&1 || echo "(exit status $?)"; } | tr '\n\t' '  ')"
    fi
    fact memory "$(memory_left)"
}

if [ -n "$probe" ]; then
    look "$probe"
    exit 0
fi

# ---- all nodes ----

problems=0
# problem TEXT...: in lines that fit a terminal.
problem() {
    problems=$((problems + 1))
    printf '%s\n' "$*" | fold -s -w 96 | sed -e 's/ *$//' -e '1s/^/preflight: /' -e '2,$s/^/           /' >&2
}

# some NODE...: the first few of them.
some() {
    local names
    names=$(printf '%s, ' "${@:1:5}")
    printf '%s%s' "${names%, }" "$([ $# -le 5 ] || echo " and $(($# - 5)) more")"
}

# nodes_with KEY VALUE: the nodes that have said so, into the array found.
nodes_with() {
    mapfile -t found < <(awk -F '\t' -v k="$1" -v v="$2" '$2 == k && $3 == v { print $1 }' <<<"$facts")
}

finish() {
    if [ "$problems" -gt 0 ]; then
        echo "preflight: $problems problem$([ "$problems" -eq 1 ] || echo s); nothing was started" >&2
        exit 1
    fi
    exit 0
}

nodes=1
if [ -n "${SLURM_JOB_ID:-}" ] && command -v srun >/dev/null; then
    nodes=${SLURM_JOB_NUM_NODES:-1}
fi
token=${SLURM_JOB_ID:-hand}-$$
mark=$folder/.preflight-$token
trap 'rm -f "$mark" "$mark".*' EXIT

if ! mkdir -p "$folder" 2>/dev/null || ! { echo "$token" >"$mark"; } 2>/dev/null; then
    problem "the run's folder $folder cannot be made or written on ${SLURMD_NODENAME:-$(hostname)}:" \
        "$({ mkdir -p "$folder" && echo "$token" >"$mark"; } 2>&1 | sed 's/.*: //' | head -n 1)." \
        "Choose another --out, on a file system that compute nodes may write to."
    finish
fi

arguments=(--folder "$folder" --program "$program" --probe "$token")
for file in ${corpus[@]+"${corpus[@]}"}; do
    arguments+=(--corpus "$file")
done
if [ -n "${SLURM_JOB_ID:-}" ] && command -v srun >/dev/null; then
    # The script's text goes along: on a node that does not see the folder there is no file of it.
    facts=$(timeout 120 srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --mpi=none --overlap \
        --export=ALL bash -c "$(cat "${BASH_SOURCE[0]}")" preflight "${arguments[@]}" 2>"$mark.log")
    facts=$(sort <<<"$facts")
else
    facts=$(look "$token" 2>"$mark.log")
fi
answered=$(awk -F '\t' '$2 == "memory"' <<<"$facts" | wc -l)
if [ "$answered" -lt "$nodes" ]; then
    problem "only $answered of $nodes nodes answered:" \
        "$(tr '\n' ' ' <"$mark.log" | cut -c 1-300). A node may be down or unable to start jobs" \
        "(sinfo -N -l shows their state); leave it out with --sbatch-arg=--exclude=NODE."
fi

# The folder.
nodes_with folder missing
[ ${#found[@]} -eq 0 ] ||
    problem "$(some "${found[@]}") cannot see the run's folder $folder: it is on a disk that only some nodes" \
        "have. Choose an --out on a file system that all nodes share, often \$SCRATCH or \$WORK."
nodes_with folder other
[ ${#found[@]} -eq 0 ] ||
    problem "on $(some "${found[@]}"), $folder is another folder: what this node has written there does not" \
        "appear. It is on a disk of the node itself, like /tmp. Choose an --out on a file system that all" \
        "nodes share, often \$SCRATCH or \$WORK."
nodes_with folder readonly
[ ${#found[@]} -eq 0 ] ||
    problem "$(some "${found[@]}") cannot write to $folder. Some clusters mount home folders read-only on" \
        "compute nodes: choose an --out that they may write to."
nodes_with folder ok
if [ ${#found[@]} -gt 0 ]; then
    unseen=()
    for node in "${found[@]}"; do
        for ((i = 0; i < 20; i++)); do
            [ ! -e "$mark.$node" ] || continue 2
            ls "$folder" >/dev/null 2>&1
            sleep 0.5
        done
        unseen+=("$node")
    done
    [ ${#unseen[@]} -eq 0 ] ||
        problem "what $(some "${unseen[@]}") writes to $folder does not appear here: the file system is not" \
            "shared, or shows changes only after ten seconds. Choose another --out."
fi
room=$(awk -F '\t' '$2 == "room" { print $3 }' <<<"$facts" | sort -n | head -n 1)
if [ "${room:-100000}" -lt 65536 ]; then
    problem "the file system of $folder has only $((room / 1024)) MiB left: remove something, or choose another" \
        "--out."
fi
nodes_with locks no
if [ ${#found[@]} -gt 0 ]; then
    # No problem: said, and solved for the run.
    echo "preflight: $folder has no file locks, which HDF5 (the format of study.nc) wants:" \
        "HDF5_USE_FILE_LOCKING=FALSE is set for this run; set it, too, when you read study.nc there" >&2
    echo "export HDF5_USE_FILE_LOCKING=FALSE"
fi

# The text.
for ((k = 0; k < ${#corpus[@]}; k++)); do
    nodes_with "corpus$k" missing
    [ ${#found[@]} -eq 0 ] ||
        problem "the text ${corpus[k]} of the study is not there on $(some "${found[@]}"). Put it on a file" \
            "system that all nodes see, and name that place in the study file (data.files)."
    nodes_with "corpus$k" unreadable
    [ ${#found[@]} -eq 0 ] ||
        problem "the text ${corpus[k]} of the study cannot be read on $(some "${found[@]}"): it is no file, or" \
            "its permissions forbid it (ls -l)."
    sizes=$(awk -F '\t' -v k="corpus$k" '$2 == k && $3 ~ /^[0-9]+$/ { print $3 }' <<<"$facts" | sort -u |
        wc -l)
    [ "$sizes" -le 1 ] ||
        problem "the text ${corpus[k]} is not the same on all nodes (its size differs). Copy the same file to" \
            "all of them, or name one that they share."
done

# The program.
if [ -n "$program" ]; then
    while IFS=$'\t' read -r node _ version; do
        [ "${version#ptqscale }" != "$version" ] ||
            problem "$program does not start on $node: ${version:0:300}. Compute nodes need the libraries that it" \
                "was built with: load the same modules as for the build before sbatch, or build it there."
    done < <(awk -F '\t' '$2 == "program"' <<<"$facts" | sort -t $'\t' -u -k 3)
    versions=$(awk -F '\t' '$2 == "program" && $3 ~ /^ptqscale / { print $3 }' <<<"$facts" | sort -u)
    [ "$(wc -l <<<"$versions")" -le 1 ] ||
        problem "$program is not the same on all nodes:" "$(tr '\n' ';' <<<"$versions")" \
            "Their results would not be comparable: use one that all nodes see."
fi

# Memory.
if [ "$memory" -gt 0 ]; then
    each=$(((ranks + nodes - 1) / nodes))
    need=$((each * (memory / 1024)))
    while IFS=$'\t' read -r node _ left; do
        [ "$left" -ge "$need" ] ||
            problem "node $node has $((left / 1024)) MiB of memory for this job and needs $((need / 1024 + 1)):" \
                "$each ranks with up to $((memory / 1048576 + 1)) MiB each. Ask for more (--sbatch-arg=--mem=0: all of" \
                "the node) or start fewer ranks per node (--ntasks, with more --nodes)."
    done < <(awk -F '\t' '$2 == "memory"' <<<"$facts")
fi

# The launcher: only worth a try where the program starts.
if [ "$problems" -eq 0 ] && [ ${#launcher[@]} -gt 0 ] && [ -n "$program" ]; then
    name=$(basename "${launcher[0]}")
    if ! command -v "${launcher[0]}" >/dev/null; then
        problem "there is no $name on this node. Load the MPI module that ptqscale was built with before" \
            "sbatch (ldd $program | grep libmpi names it)."
    elif [ "$name" = srun ] && ! srun --mpi=list 2>&1 | grep -q pmix; then
        problem "this Slurm has no PMIx plugin (srun --mpi=list), so that ranks started by srun cannot find" \
            "each other. Use the other launcher: --launcher mpirun."
    else
        said=$(timeout 120 "${launcher[@]}" "$program" ranks </dev/null 2>"$mark.log")
        status=$?
        last=$(tail -n 3 "$mark.log" | tr '\n' ' ' | cut -c 1-400)
        if [ "$said" = "$ranks ranks on $nodes nodes" ] || [ "$said" = "$ranks ranks on $nodes node" ] ||
            [ "$said" = "$ranks rank on $nodes node" ]; then
            :
        elif grep -qx '1 rank on 1 node' <<<"$said" || grep -q 'MPI sees one' "$mark.log"; then
            problem "the ranks that $name starts do not find each other: each takes itself for the only one. The" \
                "launcher belongs to another MPI than the one that ptqscale was built with (ldd $program | grep" \
                "libmpi), or $([ "$name" = srun ] && echo "Slurm's PMIx plugin does not fit it: use --launcher mpirun" ||
                    echo "it was built without PMIx")."
        elif [ "$status" -eq 124 ]; then
            problem "$name did not get $ranks ranks started on $nodes nodes in two minutes. The nodes may be unable" \
                "to connect to each other: name their network with" \
                "--mpirun-arg=--mca --mpirun-arg=btl_tcp_if_include --mpirun-arg=eth0 (ip link lists them). $last"
        else
            problem "$name cannot start $ranks ranks on $nodes nodes (exit status $status${said:+; it said \"$said\"}):" \
                "${last:-no message}"
        fi
    fi
fi

finish
