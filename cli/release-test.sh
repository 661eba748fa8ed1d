#!/usr/bin/env bash
# The release archive: two builds in different folders make the same bytes, and what is unpacked
# runs from a read-only folder with blanks in its name, without Maven, git or a UTF-8 locale.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

archive() {
  (cd "$1" && mvn -B -q -ntp -Prelease -Dmaven.test.skip=true package >&2)
  sha256sum < "$1"/cli/target/moxie-*.tar.gz
}

mkdir "$work/elsewhere"
git ls-files -z | xargs -0 cp --parents -t "$work/elsewhere"
here=$(archive .)
there=$(umask 077 && archive "$work/elsewhere")
if [ "$here" != "$there" ]; then
  echo "expected two builds to make the same archive, found $here and $there" >&2
  exit 1
fi

mkdir "$work/un packed"
tar -xzf cli/target/moxie-*.tar.gz -C "$work/un packed"
installed=$(echo "$work/un packed"/moxie-*)
chmod -R a-w "$installed"
mkdir "$work/path"
for tool in bash dirname env locale mv paste readlink rm sed; do
  ln -s "$(command -v "$tool")" "$work/path/$tool"
done

moxie() {
  env -i PATH="$work/path" TMPDIR="$work" JAVA_HOME="${JAVA_HOME:-}" LC_ALL=C \
    MOXIE_JAVA_OPTS="-Djava.io.tmpdir=$work" "$installed/moxie" "$@" > "$work/log" 2>&1 \
    || { status=$?; cat "$work/log" >&2; echo "moxie $*: $status" >&2; exit 1; }
}

moxie convert "$installed/fixtures/tiny-deepseek-v3-fp8" "$work/é.moxie" --mtp keep
moxie verify "$work/é.moxie"
moxie demo --output "$work/demo.moxie"
echo "two builds make the archive $here; unpacked it converts, verifies and runs"
