#!/bin/bash
# Fit on several GPUs of one or more nodes of a SLURM cluster:
#   sbatch install/slurm_fit.sh fit.json [more flags of "bone fit"]
# The node count, GPUs, time and memory below are an example; flags of sbatch win over them.
# Scans, run folder and this checkout must be on a file system that all nodes share.
#SBATCH --job-name=bone-fit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1          # one torchrun on each node; it starts a process for each GPU
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --mem=64G
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120            # two minutes before the end: stop, keep the best model and a checkpoint
#SBATCH --output=bone-fit-%j.log

set -euo pipefail

config=${1:?"usage: sbatch install/slurm_fit.sh FIT.json [flags of bone fit]"}
shift
checkout=${BONE_CHECKOUT:-$SLURM_SUBMIT_DIR}      # where BONe is; by default the folder of the sbatch command
python=${BONE_PYTHON:-$checkout/.venv/bin/python}
gpus=${SLURM_GPUS_ON_NODE:?"ask for GPUs, e.g. --gpus-per-node=4"}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# Loader threads and torch share the cores of a task among its GPUs.
export OMP_NUM_THREADS=$(( ${SLURM_CPUS_PER_TASK:-$gpus} / gpus > 0 ? ${SLURM_CPUS_PER_TASK:-$gpus} / gpus : 1 ))
# Statistics and converted scans, where all nodes see them.
export BONE_CACHE=${BONE_CACHE:-$SLURM_SUBMIT_DIR/bone-cache}

cd "$checkout"
srun "$python" -m torch.distributed.run \
    --nnodes "$SLURM_NNODES" --nproc-per-node "$gpus" \
    --rdzv-backend c10d --rdzv-endpoint "$first:29400" --rdzv-id "$SLURM_JOB_ID" \
    -m standalone.command fit --config "$config" "$@"
