#!/usr/bin/env bash
# Measures training on the GPU of this machine, beside PyTorch if it is installed, and
# writes benchmarks/results/gpu.json, row by row. Planned for less than nine minutes. On a
# machine without a GPU, `benchmarks/gpu.sh --smoke` runs every part briefly on the CPU
# and writes to a temporary folder. PYTHON names the interpreter (default: python).
set -euo pipefail
cd "$(dirname "$0")/.."
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # several processes share the GPU
exec "${PYTHON:-python}" -m benchmarks.gpu "$@"
