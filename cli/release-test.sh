#!/usr/bin/env bash
# The release archive: two builds in different folders make the same bytes, and what is unpacked
# runs from a read-only folder with blanks in its name, without Maven, git or a UTF-8 locale. Needs
# one of them: mvn -Prelease -Dmaven.test.skip=true package, with a umask of 022, which jars carry.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

mkdir "$work/elsewhere"
git ls-files -z | xargs -0 cp -P --parents -t "$work/elsewhere"
# Checked already, and the longest part.
(cd "$work/elsewhere" && mvn -B -q -ntp -Prelease -Dmaven.test.skip=true -Dcompile.checks=-parameters package)
here=$(sha256sum < cli/target/moxie-*.tar.gz)
there=$(sha256sum < "$work"/elsewhere/cli/target/moxie-*.tar.gz)
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
    MOXIE_JAVA_OPTS="-Djava.io.tmpdir=$work" "$installed/moxie" "$@" > "$work/log" 2>&1
}

expect() {
  local status=0
  "${@:3}" || status=$?
  if [ "$status" != "$1" ] || ! grep -q -e "$2" "$work/log"; then
    cat "$work/log" >&2
    echo "${*:3}: expected status $1 and \"$2\", found status $status" >&2
    exit 1
  fi
}

expect 0 "weight files" moxie convert "$installed/fixtures/tiny-deepseek-v3-fp8" "$work/é.moxie" --mtp keep
expect 0 "verdict *pass" moxie verify "$work/é.moxie"
expect 0 "owl named" moxie demo --output "$work/demo.moxie"

# What the machine lacks ends with 4 and is named: 1 would say that a difference was found.
launcher() {
  env "$@" "$installed/moxie" verify "$work/é.moxie" > "$work/log" 2>&1
}
in_a_deleted_folder() (
  mkdir "$work/gone" && cd "$work/gone" && rmdir "$work/gone" && launcher A=b
)
with_little_address_space() (
  ulimit -v 500000 && launcher A=b
)
mkdir -p "$work/jdk/bin"
echo 'JAVA_VERSION="25.0.2"' > "$work/jdk/release"
touch "$work/jdk/bin/java" && chmod +x "$work/jdk/bin/java"

expect 4 "JVM that starts" launcher MOXIE_JAVA_OPTS=-Xmx1k
expect 4 "JVM that starts" launcher JAVA_TOOL_OPTIONS=-Xmx1k
expect 4 "JVM that starts" with_little_address_space
expect 4 "working directory" in_a_deleted_folder
expect 4 "JDK-8377811" launcher JAVA_HOME="$work/jdk"
echo "two builds make the archive $here; unpacked it converts, verifies, runs, and says what a machine lacks"
