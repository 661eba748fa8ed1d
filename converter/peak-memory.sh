#!/usr/bin/env bash
# Converts generated checkpoints of growing size with a heap of 128 MiB and prints the peak resident
# memory of each run: it must not grow with the model.
#   converter/peak-memory.sh [MEBIBYTES ...]      default: 1024 16384
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/moxie-peak.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ $# -gt 0 ] || set -- 1024 16384
for size in "$@"; do
  "$project/moxie" synth "$work/c" --mebibytes "$size"
  MOXIE_JAVA_OPTS=-Xmx128m /usr/bin/time -f "%M KiB peak resident, %e s" -o "$work/time" \
    "$project/moxie" convert "$work/c" "$work/p" --quiet
  echo "$(du -sm "$work/c" | cut -f1) MiB checkpoint: $(cat "$work/time")"
  rm -rf "$work/c" "$work/p"
done
