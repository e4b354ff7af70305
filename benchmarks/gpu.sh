#!/usr/bin/env bash
# Check and time the training step on this machine's GPU:   benchmarks/gpu.sh
# Any CUDA machine with PyTorch 2.10 or newer; what it lacks can lie as wheels in a folder .whl of the project.
#     benchmarks/gpu.sh --device cpu --small     proves the script itself where there is no GPU
#     COMMIT=$(git rev-parse HEAD) names the commit where the checkout has no git
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-}
if [[ -z $python ]]; then
    python=python3
    [[ -x .venv/bin/python ]] && python=.venv/bin/python
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if compgen -G '.whl/*.whl' >/dev/null; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$scratch/site" .whl/*.whl
    export PYTHONPATH=$scratch/site:$PYTHONPATH
fi

# A machine that keeps nothing names the folder to bring results back in as OUT.
"$python" benchmarks/gpu.py "$@" | tee "$scratch/log"
if [[ -n ${OUT:-} ]]; then
    cp "$(tail -n 1 "$scratch/log")" "$OUT/"
fi
