#!/usr/bin/env bash
# What conversion does when the machine lets it down: disks that are small, full or read-only, sources
# and journals that are damaged, SIGINT, a second converter. Each case checks the exit status, the
# sentence, and that the command that is run again afterwards makes the right package.
#   converter/fault-test.sh        as root: it mounts file systems in memory
set -euo pipefail
set -m # Without job control a process in the background does not hear SIGINT.
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/moxie-fault.XXXXXX")
disk=$work/disk
trap 'umount -q "$disk" || true; rm -rf "$work"' EXIT
mkdir "$disk"
moxie=$project/moxie
"$moxie" synth "$work/c" --mebibytes 128 --max-shard-size 16MB > /dev/null
options=(--quiet --max-shard-size 4MB)
"$moxie" convert "$work/c" "$work/whole" "${options[@]}"

small_disk() {
  umount -q "$disk" || true
  mount -t tmpfs -o "size=$1" tmpfs "$disk"
}

# expect CASE STATUS PATTERN COMMAND...: runs the command and checks how it ends.
expect() {
  local name=$1 status=$2 pattern=$3 found=0
  shift 3
  "$@" > "$work/log" 2>&1 || found=$?
  if [ "$found" != "$status" ] || ! grep -q -- "$pattern" "$work/log"; then
    echo "FAILED $name: status $found for $status, said:" >&2
    cat "$work/log" >&2
    exit 1
  fi
  echo "ok  $name: $(tail -1 "$work/log")"
}

# The same command again, and the package is the right one with nothing beside it.
recovers() {
  "$moxie" convert "$work/c" "$1" "${options[@]}" "${@:2}"
  diff -r "$work/whole" "$1"
  [ -z "$(compgen -G "$(dirname "$1")/.p.moxie*")" ]
  rm -rf "$1"
}

# Runs a conversion until the journal knows a finished shard, then the given command.
midway() {
  rm -rf "$2" "$(dirname "$2")"/.p.moxie-*
  "$moxie" convert "$work/c" "$2" "${options[@]}" > "$work/log" 2>&1 &
  pid=$!
  journal=$(dirname "$2")/.p.moxie-journal
  until [ -f "$journal" ] && [ "$(wc -l < "$journal")" -gt 3 ]; do
    kill -0 "$pid" 2> /dev/null || { echo "FAILED $1: too fast to interrupt" >&2; exit 1; }
  done
  "${@:3}"
  status=0
  wait "$pid" || status=$?
  echo "    $1: status $status, $(tail -1 "$work/log")"
}

small_disk 64m
expect "a disk that is too small" 4 "free bytes" "$moxie" convert "$work/c" "$disk/p" "${options[@]}"
expect "a plan for it" 4 "free bytes" "$moxie" convert "$work/c" "$disk/p" --dry-run
[ -z "$(ls -A "$disk")" ]

small_disk 400m
expect "a mount point as target" 2 "choose a new folder inside" \
  "$moxie" convert "$work/c" "$disk" "${options[@]}"
midway "a disk that fills up" "$disk/p" fallocate -l 300m "$disk/filler"
[ "$status" = 4 ]
grep -q "No space left" "$work/log"
rm "$disk/filler"
recovers "$disk/p"
echo "ok  a disk that fills up"

mount -o remount,ro "$disk"
expect "a disk that is read-only" 4 "Read-only" "$moxie" convert "$work/c" "$disk/p" "${options[@]}"

interrupt() { kill -INT "$pid"; }
midway "SIGINT" "$work/p" interrupt
[ "$status" = 130 ]
grep -q "run the same command again" "$work/log"
expect "other options afterwards" 2 "max-shard-size was 4000000" \
  "$moxie" convert "$work/c" "$work/p" --quiet
touch "$work/c/model-00002-of-"*
expect "a source that was touched meanwhile" 2 "model-00002" \
  "$moxie" convert "$work/c" "$work/p" "${options[@]}"
echo garbage >> "$work/.p.moxie-journal"
expect "a journal with garbage" 3 "pass --force" \
  "$moxie" convert "$work/c" "$work/p" "${options[@]}"
recovers "$work/p" --force
echo "ok  starting over by force"

second() {
  kill -STOP -- "-$pid" # With the JVM, a child of the launcher.
  expect "a second converter" 2 "another command at work" \
    "$moxie" convert "$work/c" "$work/p" "${options[@]}"
  kill -CONT -- "-$pid"
}
midway "a second converter" "$work/p" second
[ "$status" = 0 ]
diff -r "$work/whole" "$work/p"
rm -rf "$work/p"

file=$(ls "$work"/c/model-00003-of-*)
cp "$file" "$work/saved"
midway "a source file replaced" "$work/p" mv "$work/saved" "$file"
[ "$status" = 4 ]
grep -q "$(basename "$file").*changed while it was read" "$work/log"
recovers "$work/p"
echo "ok  a source file replaced"
cp -p "$file" "$work/saved"
midway "a source file cut short" "$work/p" truncate -s 1000 "$file"
[ "$status" = 4 ]
grep -q "while it was read" "$work/log"
expect "the same again" 3 "$(basename "$file")" \
  "$moxie" convert "$work/c" "$work/p" "${options[@]}"
cp -p "$work/saved" "$file"
recovers "$work/p"
echo "ok  a source file cut short and restored"
