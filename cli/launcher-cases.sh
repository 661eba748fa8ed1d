#!/usr/bin/env bash
# Cases that need the launcher: locales, options of the JVM, places to write to, names that are not
# UTF-8. Prints a table and ends with 1 if a case does not end as expected. Needs a build.
set -u
home=$(cd "$(dirname "$0")/.." && pwd)
moxie=$home/moxie
tied=$home/fixtures/variants/f16-tied
limit=60
work=$(mktemp -d "${TMPDIR:-/tmp}/moxie-cases.XXXXXX")
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
table=$home/cli/target/launcher-cases.txt
failed=0

# Runs a command in at most so many seconds; leaves its status, and what it printed in out and err.
try() {
  "$@" > "$work/out" 2> "$work/err" < /dev/null &
  watch $!
}

# The same, with standard output where the first argument says, "-" for a closed one.
try_to() {
  local where=$1
  shift
  : > "$work/out"
  if [ "$where" = - ]; then
    "$@" >&- 2> "$work/err" < /dev/null &
  else
    "$@" > "$where" 2> "$work/err" < /dev/null &
  fi
  watch $!
}

watch() {
  local turns=0
  while kill -0 "$1" 2> /dev/null && [ $turns -lt $((limit * 5)) ]; do
    sleep 0.2
    turns=$((turns + 1))
  done
  kill -9 "$1" 2> /dev/null
  wait "$1" 2> /dev/null
  status=$?
  said=$(tr '\n\0' '  ' < "$work/err" | LC_ALL=C tr -d '\000-\037')
}

# row CASE INPUT EXPECTED OK?  where the last is a condition's status
row() {
  local verdict=ok
  # A class, which java.io.tmpdir, as in remedies, is none.
  [[ ! $said =~ Exception|java\.[a-z.]+\.[A-Z]|"at dev.moxie" ]] || verdict="NOT OK, names Java"
  [ "$4" -eq 0 ] || verdict="NOT OK"
  [ "$verdict" = ok ] || failed=$((failed + 1))
  printf '%s | %s | %s | %s, %.160s | %s\n' "$1" "$2" "$3" "$status" "${said//$work/…}" "$verdict" | tee -a "$table"
}

is() { [ "$status" -eq "$1" ]; }
one_of() { case " $* " in *" $status "*) return 0 ;; *) return 1 ;; esac; }
says() { case $said in *"$1"*) return 0 ;; *) return 1 ;; esac; }

checkpoint() {
  mkdir "$1" && cp "$tied"/config.json "$tied"/generation_config.json "$tied"/model.safetensors "$1"
}

# A build may take longer than a case.
"$moxie" --version > /dev/null || exit
echo "case | input | expected | found | ok" | tee "$table"
pack=$work/p
try "$moxie" convert "$tied" "$pack" --quiet
is 0
row package "the tied Mixtral" 0 $?

# A locale without UTF-8.
for locale in POSIX C; do
  checkpoint "$work/$locale"
  echo x > "$work/$locale/é.md"
  try env LC_ALL=$locale "$moxie" convert "$work/$locale" "$work/$locale.p" --quiet
  one_of 0 4 && ! says "rename the file"
  row "C locale" "LC_ALL=$locale, é.md, convert" "0, or 4 and the remedy" $?
  if is 0; then
    [ -f "$work/$locale.p/source/é.md" ]
    row "C locale" "LC_ALL=$locale, é.md in the package" "that name" $?
    try env LC_ALL=$locale "$moxie" verify "$work/$locale.p" --source "$work/$locale"
    is 0
    row "C locale" "LC_ALL=$locale, verify" 0 $?
    try env LC_ALL=$locale "$moxie" export "$work/$locale.p" "$work/$locale.again" --quiet
    is 0 && [ -f "$work/$locale.again/é.md" ]
    row "C locale" "LC_ALL=$locale, export" "0, that name" $?
  fi
  try env LC_ALL=$locale "$moxie" convert "$tied" "$work/$locale-é.p" --quiet
  { is 0 && [ -f "$work/$locale-é.p/moxie.json" ]; } || is 4
  row "C locale" "LC_ALL=$locale, a target é" "0, that name; or 4" $?
done

# Names that are not UTF-8.
bad=$work/$(printf 'bad\377')
try "$moxie" convert "$tied" "$bad" --quiet
{ is 0 && [ -f "$bad/moxie.json" ]; } || { one_of 2 3 4 && [ "$(find "$work" -maxdepth 1 -name 'bad*' | wc -l)" -eq 0 ]; }
row "not UTF-8" "a target" "that name, or refused" $?
checkpoint "$work/names"
echo x > "$work/names/$(printf 'notes\377.md')"
try "$moxie" convert "$work/names" "$work/names.p" --quiet
{ is 0 && { [ -f "$work/names.p/source/$(printf 'notes\377.md')" ] || says notes; }; } || one_of 3 4
row "not UTF-8" "a companion" "that name, left out and named, or refused" $?
try "$moxie" verify "$pack" --html "$work/$(printf 'r\377.html')"
{ is 0 && [ -f "$work/$(printf 'r\377.html')" ]; } || { one_of 2 3 4 && [ -z "$(find "$work" -maxdepth 1 -name 'r*.html')" ]; }
row "not UTF-8" "a report" "that name, or refused" $?

# A JVM that does not start, and places that are not there.
for options in -Xmx99999g --no-such-option -XX:NoSuchOption -Xss1 -Djava.security.manager \
    -version --dry-run --list-modules "-cp /none Nothing"; do
  try env MOXIE_JAVA_OPTS="$options" "$moxie" verify "$pack"
  is 4
  row "no JVM" "MOXIE_JAVA_OPTS=$options" 4 $?
done
# Nothing of the options' or the limits' that keep it from starting at first: it ends later, or was
# never told of. Only what the program itself takes for a difference may end with 1.
for limits in "ulimit -v 3000000" "ulimit -v 5000000" "ulimit -n 20" "ulimit -n 50"; do
  try bash -c "cd '$work' && $limits && TMPDIR='$work' exec '$moxie' verify '$pack'"
  one_of 0 4 && ! says "install Moxie again"
  row "no JVM" "$limits" "4, or works" $?
done
cp -r "$pack" "$work/damaged"
for shard in "$work"/damaged/*.safetensors; do
  printf x | dd of="$shard" bs=1 seek=$(($(wc -c < "$shard") - 1)) conv=notrunc 2> /dev/null
done
try "$moxie" verify "$work/damaged"
is 1
row "no JVM" "a difference, after all" 1 $?
try env MOXIE_JAVA_OPTS=-XX:MaxDirectMemorySize=1k "$moxie" run "$pack" --prompt-ids 1,2 --max-tokens 2 --execution fused
is 0
row "no JVM" "MOXIE_JAVA_OPTS=-XX:MaxDirectMemorySize=1k" "0, tensors are no direct buffers" $?

# Signals are for the JVM, a child of the launcher, which does not outlive it.
if [ -d /proc/self/task ] && command -v setpriv > /dev/null; then
  "$moxie" synth "$work/large" --mebibytes 400 > /dev/null 2>&1
  for signal in TERM KILL "KILL, its JVM"; do
    target=$work/${signal//[^A-Z]/}.p
    "$moxie" convert "$work/large" "$target" --force --quiet --max-shard-size 4MB > /dev/null 2> "$work/err" < /dev/null &
    launcher=$!
    until [ -f "$(dirname "$target")/.$(basename "$target").moxie-journal" ] || ! kill -0 $launcher 2> /dev/null; do
      sleep 0.05
    done
    java=$(tr -d ' ' < /proc/$launcher/task/$launcher/children)
    case $signal in *,*) kill -KILL "$java" ;; *) kill -s "$signal" $launcher ;; esac
    watch $launcher 2> /dev/null
    sleep 0.3
    # Nothing is executed by what has ended and is not yet buried.
    case $signal in *,*) is 4 && says killed ;; *) one_of 143 137 && [ -n "$java" ] && [ ! -e "/proc/$java/exe" ] ;; esac
    row signals "SIG$signal, in a conversion" "4 if it was the JVM; no JVM is left" $?
  done
fi
mkdir "$work/empty"
bash=$(command -v bash)
try env PATH="$work/empty" "$bash" "$moxie" verify "$pack"
is 4 && says PATH
row "no tools" "an empty PATH" "4, names it" $?
try env JAVA_HOME=/none TMPDIR="$work/file" HOME=/none LC_ALL=tr_TR.UTF-8 "$moxie" verify "$pack"
is 0
row "no tools" "JAVA_HOME, TMPDIR and HOME that lead nowhere, a Turkish locale" 0 $?
ln -s loop "$work/loop"
try "$moxie" verify "$work/loop"
is 4 && says "links that lead to each other"
row loops "verify a link to itself" "4, says so" $?
for closed in "<&-" "2>&-" "<&- 2>&-"; do
  try bash -c "'$moxie' verify '$pack' $closed"
  is 0
  row "closed streams" "verify $closed" 0 $?
done

mkdir "$work/gone"
try bash -c "cd '$work/gone' && rmdir '$work/gone' && exec '$moxie' verify '$pack'"
one_of 0 4
row "no JVM" "a working directory that was deleted" "4, or works" $?
mkdir "$work/gone"
try bash -c "cd '$work/gone' && rmdir '$work/gone' && exec '$moxie' verify p"
one_of 2 3 4
row "no JVM" "the same, and a relative name" "refused" $?
: > "$work/file"
for tmp in /none "$work/file"; do
  for verb in "run $pack --prompt-ids 1,2 --max-tokens 2" "routing $pack --ids 1,2" "verify $pack --reference $tied/trace.safetensors" \
    "run $pack --prompt-ids 1,2 --max-tokens 2 --execution fused --device cpu"; do
    # shellcheck disable=SC2086 # several arguments are meant to be split
    try env MOXIE_JAVA_OPTS="-Djava.io.tmpdir=$tmp" "$moxie" $verb
    is 0 || { is 4 && says "$tmp" && ! says "supported platform"; }
    row "no tmp" "tmpdir ${tmp/$work/…}, ${verb//$pack/P}" "4, names the folder" $?
  done
done

# Output that cannot be written.
"$moxie" baseline record "$pack" "$work/b.json" --ids 1,2 > /dev/null 2>&1
places=-
[ -c /dev/full ] && places="/dev/full -"
for place in $places; do
  for verb in --help --version "verify --help" "verify $pack" "verify $pack --json" "inspect $pack" "inspect $pack --json" "inspect $tied" \
    "diff $pack $tied" "diff $pack $tied --json" "routing $pack --ids 1,2" "routing $pack --ids 1,2 --json" \
    "run $pack --prompt-ids 1,2 --max-tokens 2" "baseline check $pack $work/b.json" "baseline check $pack $work/b.json --json" \
    "convert $tied $work/dry --dry-run" "convert $tied $work/dry --dry-run --json" "verify $pack --annotations"; do
    # shellcheck disable=SC2086 # several arguments are meant to be split
    try_to "$place" "$moxie" $verb
    shown=${verb//$pack/P}
    shown=${shown//$tied/T}
    is 4
    row output "${shown//$work/…} > $place" 4 $?
  done
done

# What the runtime remembers beside a package.
remember() {
  try "$moxie" run "$pack" --prompt-ids 1,2 --max-tokens 2 --device cpu
}
checked=$work/.p.moxie-checked
rm -f "$checked"
echo precious > "$work/t"
ln -s "$work/t" "$checked"
remember
! is 137 && [ "$(cat "$work/t")" = precious ]
row "linked checked" "to a file" "that is not written" $?
rm -f "$checked"
ln -s "$work/nowhere" "$checked"
remember
! is 137 && [ ! -e "$work/nowhere" ]
row "linked checked" "to nowhere" "nothing made there" $?
rm -f "$checked"
echo precious > "$work/t"
ln "$work/t" "$checked"
remember
! is 137 && [ "$(cat "$work/t")" = precious ]
row "hard checked" "a second name of a file" "that is not written" $?
rm -f "$checked"
mkfifo "$checked"
remember
! is 137
row pipes ".p.moxie-checked" "does not hang" $?
rm -f "$checked"
digest=$(printf %064d 0)
echo "$digest  moxie.json" > "$checked"
remember
is 2 && [ "$(cat "$checked")" = "$digest  moxie.json" ]
row "foreign checked" "a list of digests" "2, and it stays" $?
rm -f "$checked"
mkdir "$checked"
remember
one_of 0 2 3 4
row "foreign checked" "a folder" "a documented status" $?

echo "$failed of $(($(wc -l < "$table") - 1)) cases do not end as expected"
[ "$failed" -eq 0 ]
