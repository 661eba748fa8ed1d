#!/bin/bash
# Makes the PTX that the jar carries, one file for each part of decode.cu: ptx.sh FOLDER
# A driver reads no PTX that is newer than itself: nothing here needs more than version 8.3, which CUDA 12.3 brought.
cd "$(dirname "$0")" || exit 4
parts=(bf16 f16 fp8 int8 int4 mxfp4 common)
for i in "${!parts[@]}"; do
  to=$1/${parts[$i]}.ptx
  nvcc -ptx -std=c++17 -O3 -arch=compute_90 -DPART=$((i + 1)) decode.cu -o "$to" || exit 4
  sed -i 's/^\.version .*/.version 8.3/' "$to" || exit 4
done
