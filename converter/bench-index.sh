#!/usr/bin/env bash
# Times planning and opening for DeepSeek-V3's names at about 10,000, 30,000 and 90,000 tensors: if
# any step were quadratic, the last column would grow. The widths are scaled down, the names and
# their number are not.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/moxie-index.XXXXXX")
trap 'rm -rf "$work"' EXIT
for layers in 9 22 61; do
  "$project/moxie" synth "$work/c" --config "$project/fixtures/configs/deepseek-v3.json" \
    --set num_hidden_layers=$layers --scale 0.0004 --shards $((layers * 163 / 61)) > /dev/null
  "$project/moxie" convert "$work/c" "$work/p" --mtp keep --quiet
  "$project/moxie" bench index "$work/c" "$work/p"
  rm -rf "$work/c" "$work/p"
done
