#!/usr/bin/env bash
# same.sh CHECKPOINT INSTALL IDS…: Moxie and llama.cpp continue each prompt of ids (1,2,3) alike, in f32.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkpoint=$1 install=$2 tokens=16
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" "$here/to_gguf.py" "$checkpoint" "$work/m.gguf" --type f32
"$here/../../moxie" convert --quiet "$checkpoint" "$work/m.moxie"
for ids in "$@"; do
  ours=$("$here/../../moxie" run "$work/m.moxie" --prompt-ids "$ids" --max-tokens $tokens 2> /dev/null)
  theirs=$(node "$here/llama.mjs" "$work/m.gguf" --install "$install" --ids "$ids" --decode $tokens)
  # Moxie stops at the end of a text, llama.mjs does not.
  if [ -z "${ours% }" ] || [[ "$theirs " != "${ours% } "* ]]; then
    printf '%s: they differ\n  moxie      %s\n  llama.cpp  %s\n' "$ids" "$ours" "$theirs"
    exit 1
  fi
  echo "$ids: alike, ${ours% }"
done
