#!/bin/bash
# Makes the PTX that the jar carries, one file for each part of decode.cu, and writes down what was made of what:
# ptx.sh FOLDER, or for one part, without writing it down: ptx.sh FOLDER PART
# A driver reads no PTX that is newer than itself: nothing here needs more than version 8.3, which CUDA 12.3 brought.
cd "$(dirname "$0")" || exit 4
parts=(bf16 f16 fp8 int8 int4 mxfp4 common)
for i in "${!parts[@]}"; do
  [ "${2:-${parts[$i]}}" = "${parts[$i]}" ] || continue
  to=$1/${parts[$i]}.ptx
  nvcc -ptx -std=c++17 -O3 -arch=compute_90 -DPART=$((i + 1)) decode.cu -o "$to" || exit 4
  sed -i 's/^\.version .*/.version 8.3/' "$to" || exit 4
done
[ $# -gt 1 ] || { sha256sum -- *.cu *.h ptx.sh && cd "$1" && sha256sum -- *.ptx; } > "$1/made.sha256"
