#!/bin/bash
# Builds and runs the checks and the benchmark on a machine with an NVIDIA GPU and nvcc; README.md says what is printed.
#   run.sh [check|bench|all|sanitize] [seconds for everything] [one part of the benchmark]
cd "$(dirname "$0")" || exit 4
what=${1:-all} seconds=${2:-200} part=$3
kernels=../../src/main/cuda
[ -f "$kernels/decode.cu" ] || kernels=.
out=${OUT:-/tmp/moxie-decode}
mkdir -p "$out"
sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
arch=sm_${sm:-90}
build() { nvcc -std=c++17 -O3 -split-compile=0 -arch="$arch" -I. -I"$kernels" "$1.cu" -o "$out/$1.bin" >"$out/$1.build.log" 2>&1 || { echo "$1 does not compile:"; tail -20 "$out/$1.build.log"; }; }
date +%T
build check & build decode_bench & wait
date +%T
if [ "$what" = sanitize ]; then
  for tool in memcheck racecheck; do
    for part in project experts route attend latent ends; do
      timeout 100 compute-sanitizer --tool $tool "$out/check.bin" $part >"$out/$tool-$part.log" 2>&1
      echo "$tool $part: rc $?, $(grep 'ERROR SUMMARY\|RACECHECK SUMMARY' "$out/$tool-$part.log")"
    done
  done
  exit
fi
if [ "$what" != bench ]; then
  timeout 120 "$out/check.bin" >"$out/check.log" 2>&1
  echo "check: rc $?, $(grep -c e- "$out/check.log") compared, $(grep -c WRONG "$out/check.log") wrong; largest errors:"
  grep -E "WRONG|FAILED" "$out/check.log" | head -20
  awk '{print $NF, $0}' "$out/check.log" | sort -g -r | head -4 | cut -d' ' -f2-
fi
if [ "$what" != check ]; then
  for p in ${part:-mixtral qwen qwen-fp8 qwen-int4 deepseek experts qwen-8 qwen-fp8-8}; do
    left=$((seconds - SECONDS))
    [ $left -lt 10 ] && { echo "time is up before $p"; break; }
    timeout $((left + 30)) "$out/decode_bench.bin" $((left < 45 ? left : 45)) "$p" 2>&1 | tee "$out/$p.log"
    echo "$p: rc ${PIPESTATUS[0]}"
  done
fi
rm -f "$out"/*.bin
date +%T
