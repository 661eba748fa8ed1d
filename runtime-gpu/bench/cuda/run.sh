#!/bin/bash
# Builds and runs the checks and the benchmark on a machine with an NVIDIA GPU and nvcc; README.md says what is printed.
#   run.sh [check|bench|all|sanitize] [seconds for everything] [one part of the benchmark]
# Whole logs go to $OUT, if set: check.log and bench.log.
cd "$(dirname "$0")" || exit 4
what=${1:-all} seconds=${2:-225} part=$3
kernels=../../src/main/cuda
[ -f "$kernels/decode.cu" ] || kernels=.
work=$(mktemp -d) || exit 4
trap 'rm -rf "$work"' EXIT
out=${OUT:-$work}
sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
arch=sm_${sm:-90}
build() {
  nvcc -std=c++17 -O3 -split-compile=0 -arch="$arch" -I. -I"$kernels" "$1.cu" -o "$work/$1" >"$work/$1.log" 2>&1 ||
    { echo "$1 does not compile:"; tail -20 "$work/$1.log"; }
}
[ "$what" = bench ] || build check &
[ "$what" = check ] || [ "$what" = sanitize ] || build decode_bench &
wait
echo "built for $arch in $SECONDS s"
if [ "$what" = sanitize ]; then
  for tool in memcheck racecheck; do
    for p in project experts route attend latent ends; do
      timeout 60 compute-sanitizer --tool $tool "$work/check" $p >>"$out/$tool.log" 2>&1
      echo "$tool $p: rc $?, $(grep 'SUMMARY' "$out/$tool.log" | tail -1)"
    done
  done
  exit
fi
if [ "$what" != bench ]; then
  for p in project experts route attend latent ends; do
    timeout 60 "$work/check" $p >"$work/$p" 2>&1
    echo "check $p: rc $?, $(grep -c 'e[-+][0-9][0-9]' "$work/$p") compared, $(grep -c WRONG "$work/$p") marked wrong; largest: $(grep 'e[-+][0-9][0-9]' "$work/$p" | awk '{for (i = NF; i; i--) if ($i ~ /^[0-9.]+e[-+][0-9]+$/) {print $i, $0; break}}' | sort -g -r | head -1 | cut -d' ' -f2-)"
    grep -E "FAILED|WRONG" "$work/$p" | head -5
    cat "$work/$p" >>"$out/check.log"
  done
fi
[ "$what" = check ] && exit
for p in ${part:-mixtral qwen qwen-fp8 qwen-int4 deepseek experts qwen-8 qwen-fp8-8}; do
  left=$((seconds - SECONDS))
  [ $left -lt 10 ] && { echo "time is up before $p"; break; }
  timeout $((left + 15)) "$work/decode_bench" $((left < 45 ? left : 45)) "$p" 2>&1 | tee -a "$out/bench.log"
  rc=${PIPESTATUS[0]}
  [ "$rc" = 0 ] || echo "$p: rc $rc"
done
echo "all done after $SECONDS s"
