#!/usr/bin/env bash
# models.sh DIR: makes models A and B as checkpoints, packages and GGUF files, 11 GB in all.
#   python3 -m venv V && V/bin/pip install gguf==0.19.0
#   PYTHON=V/bin/python runtime-gpu/bench/models.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
moxie=$here/../../moxie
mkdir -p "$1"
for model in A B; do
  "$moxie" synth "$1/$model" --config "$here/$model.json"
  "$moxie" convert --quiet "$1/$model" "$1/$model.moxie"
  for type in bf16 q8_0 q4_0; do
    "${PYTHON:-python3}" "$here/to_gguf.py" "$1/$model" "$1/$model-$type.gguf" --type "$type"
  done
done
