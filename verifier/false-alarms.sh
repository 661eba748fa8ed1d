#!/usr/bin/env bash
# Does the verifier blame a package that is right? For every trained and random checkpoint among the
# fixtures, those with an encoder among them, and so for every family that it runs, Hugging Face
# transformers records traces of random tokens, in float32 and in bfloat16; the package made of the
# same checkpoint must pass all of them.
#   verifier/false-alarms.sh [SEEDS]        default: 20 traces for each checkpoint and dtype
#   FIRST=N       the first seed; default: 0
#   DTYPES=...    what the traces are computed in; default: float32,bfloat16
#   PYTHON=...    a python with verifier/reference/requirements.txt; default: python3
#   ALARMS=...    where the traces of false alarms are kept; default: target/alarms
# Ends with 1 if there was a false alarm, and if the traces could not all be made and verified.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
seeds=${1:-20}
first=${FIRST:-0}
dtypes=${DTYPES:-float32,bfloat16}
python=${PYTHON:-python3}
alarms=${ALARMS:-$project/target/alarms}
work=$(mktemp -d "${TMPDIR:-/tmp}/moxie-alarms.XXXXXX")
trap 'rm -rf "$work"' EXIT
# A child that ends by itself when it is interrupted does not end this script.
trap 'exit 130' INT
trap 'exit 143' TERM
# Products are small, and on a busy machine threads that wait for each other take minutes.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

row='%-22s %-9s %6s %6s %12s %9s %6s %9s\n'
# shellcheck disable=SC2059 # the format is ours
printf "$row" checkpoint dtype traces pass 'false alarms' match tie mismatch
failed=0
for checkpoint in "$project"/fixtures/tiny-* "$project"/fixtures/random/* "$project"/fixtures/encoders/*; do
  name=$(basename "$checkpoint")
  # transformers knows no such model.
  case $name in grok-1 | mixtral_original*) continue ;; esac
  # It has some of the tensors beside the text model, of which transformers wants all.
  case $name in minimax_m3_vl) continue ;; esac
  computed=$dtypes
  # transformers 5.18 multiplies norms in float32 by matrices in bfloat16 there, which torch refuses.
  case $name in deepseek_v4*) computed=float32 ;; esac
  options=()
  # transformers 5.18 runs the wrong experts there.
  case $name in nllb-moe) options=(--routed-experts) ;; esac
  "$python" "$project/verifier/reference/capture.py" "$checkpoint" --dtype "$computed" "${options[@]}" \
    --random-ids 16-32 --seed "$first-$((first + seeds - 1))" --new-tokens 8 \
    --output "$work/$name" > "$work/captured" 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
  "$project/moxie" convert "$checkpoint" "$work/package" --mtp keep --quiet
  for dtype in ${computed//,/ }; do
    references=()
    while read -r trace; do
      references+=(--reference "$trace")
    done < <(grep -E "/$name/($dtype/)?trace-[^/]*$" "$work/captured")
    "$project/moxie" verify "$work/package" "${references[@]}" --json \
      > "$work/report.json" 2> "$work/log" || true
    [ -s "$work/report.json" ] || { cat "$work/log" >&2; exit 1; }
    counted=0
    cells=$("$python" "$project/verifier/reference/alarms.py" "$work/report.json" "$seeds" \
      "$alarms/$name-$dtype") || counted=$?
    [ "$counted" -le 1 ] || { cat "$work/log" >&2; exit 1; }
    [ "$counted" -eq 0 ] || failed=1
    # shellcheck disable=SC2059,SC2086 # the format is ours; one cell a word
    printf "$row" "$name" "$dtype" $cells
  done
  rm -rf "$work/package"
done
exit "$failed"
