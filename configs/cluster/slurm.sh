#!/bin/bash
# A search on machines that Slurm lends; again: goes on. Used in the project, on a folder that all of them share:
#   sbatch configs/cluster/slurm.sh
#   sbatch configs/cluster/slurm.sh promote      the winner's full run, a rank a GPU
#SBATCH --job-name=detector-search
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1   # one Ray a machine, which shares it out
#SBATCH --exclusive           # for it takes all cores that it sees
#SBATCH --gpus-per-node=1
#SBATCH --time=12:00:00
#SBATCH --no-kill             # a lost machine costs its running trials, which go on elsewhere, and not the job
#SBATCH --requeue             # after a pre-emption the same job starts again, and goes on from the record
#SBATCH --open-mode=append    # as does its log

set -euo pipefail
. .venv/bin/activate
export HF_HOME="$PWD/tokenized_cache/huggingface"    # the model: fetched once, loaded by all machines
export RAY_AUTH_MODE=token                           # other users of these machines cannot use this Ray
RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_AUTH_TOKEN
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300    # seconds: imports from a shared folder are slow at first
read -r first < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
address="$first:$((20000 + SLURM_JOB_ID % 10000))"   # two jobs do not meet on one machine

# Half an hour less than --time, for a clean stop.
command=(python search/tune.py --dataset 100k --time-budget 11h30m)
if [[ ${1:-search} == promote ]]; then
    command=(python search/promote.py --best --dataset 2M --workers 4)
fi
srun --no-kill --kill-on-bad-exit=0 ray symmetric-run --address "$address" --min-nodes "$SLURM_NNODES" -- \
    "${command[@]}" --address auto --output "$PWD/output"
