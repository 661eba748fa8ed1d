#!/usr/bin/env bash
# Converts a generated checkpoint, kills the conversion with SIGKILL at a random moment, resumes it
# (and every third time kills it once more), and compares the package with one that was never
# interrupted.
#   converter/kill-test.sh [TIMES [MEBIBYTES]]      default: 100 256
#   SEED=N   another sequence of moments
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
times=${1:-100}
mebibytes=${2:-256}
RANDOM=${SEED:-1}
work=$(mktemp -d "${TMPDIR:-/tmp}/moxie-kill.XXXXXX")
trap 'rm -rf "$work"' EXIT
moxie="$project/moxie"

"$moxie" synth "$work/c" --mebibytes "$mebibytes" --max-shard-size 64MB > /dev/null
convert=("$moxie" convert "$work/c" "$work/p" --quiet --max-shard-size 32MB)
start=$(date +%s%N)
"$moxie" convert "$work/c" "$work/whole" --quiet --max-shard-size 32MB
took=$((($(date +%s%N) - start) / 1000000))
echo "uninterrupted: $took ms"

# Runs the conversion for at most so many milliseconds; returns whether it was killed.
killed_after() {
  "${convert[@]}" 2> "$work/log" &
  local pid=$!
  sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
  kill -KILL "$pid" 2> /dev/null || true
  ! wait "$pid" 2> /dev/null
}

killed=0 resumed=0
for ((i = 1; i <= times; i++)); do
  kills=1
  ((i % 3)) || kills=2
  for ((k = 0; k < kills; k++)); do
    # Every second moment lies in the latter half, where there is more to resume.
    moment=$((i % 2 ? RANDOM % took : took / 2 + RANDOM % (took / 2)))
    if killed_after "$moment"; then
      killed=$((killed + 1))
      journal=$work/.p.moxie-journal
      if [ -f "$journal" ] && [ "$(wc -l < "$journal")" -gt 2 ]; then
        resumed=$((resumed + 1))
      fi
    fi
  done
  if [ ! -f "$work/p/moxie.json" ]; then
    "${convert[@]}"
    if left=$(compgen -G "$work/.p.moxie*"); then
      echo "conversion $i left $left" >&2
      exit 1
    fi
  fi
  diff -r "$work/whole" "$work/p" || { echo "conversion $i differs" >&2; exit 1; }
  rm -rf "$work/p" "$work"/.p.moxie-*
done
echo "$times conversions, killed $killed times, $resumed times with shards to go on with:" \
  "every package is byte for byte the uninterrupted one"
