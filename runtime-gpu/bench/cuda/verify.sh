#!/usr/bin/env bash
# verify.sh ENV FIXTURES [OUT]: verify --device cuda on a machine with a GPU. ENV is a file of bash that defines a function
# moxie, which starts Moxie; FIXTURES is the folder fixtures; OUT takes every report. Packages are converted, and wrong ones
# made, on the machine itself. The two trained checkpoints are verified with all their traces in PROCESSES (20) processes
# each, every other fixture with its trace once, six wrong checkpoints once. One line a run: exit code, verdict, worst
# |difference| / bound of all comparisons, routing, seconds; a summary at the end. Ends within LIMIT seconds (400): what was
# not run by then is said.
set -u
env=$1 fixtures=$(cd "$2" && pwd) out=${3:-$(mktemp -d)}
LIMIT=${LIMIT:-400} TOGETHER=${TOGETHER:-8} PROCESSES=${PROCESSES:-20} DEVICE=${DEVICE:-cuda}
work=$(mktemp -d); mkdir -p "$out" "$work/p"; begin=$SECONDS
. "$env"
left() { echo $((LIMIT - (SECONDS - begin))); }
pool() { while [ "$(jobs -rp | wc -l)" -ge "$TOGETHER" ]; do wait -n; done; }
traces() { for t in "$1"/trace*.safetensors; do printf ' --reference %s' "$t"; done; }

# Wrong checkpoints: headers or configurations that say another thing, in as many bytes.
copy() { cp -rL "$fixtures/$1" "$work/$2"; }
swap() { LC_ALL=C sed -i -e "s/$2/\x01\x02/g" -e "s/$3/$2/g" -e "s/\x01\x02/$3/g" "$work/$1"/model*; }
copy tiny-mixtral wrong-experts;         swap wrong-experts 'layers\.1\.block_sparse_moe\.experts\.2\.' 'layers.1.block_sparse_moe.experts.3.'
copy tiny-mixtral wrong-gate-up;         swap wrong-gate-up '\.w1\.' '.w3.'
copy tiny-mixtral wrong-key-value;       swap wrong-key-value 'k_proj' 'v_proj'
copy tiny-deepseek-v3-fp8 wrong-layers;  swap wrong-layers 'layers\.1\.' 'layers.2.'
copy tiny-deepseek-v3-fp8 wrong-scale;   sed -i 's/"routed_scaling_factor": 2.5/"routed_scaling_factor": 2.525/' "$work/wrong-scale/config.json"
copy tiny-deepseek-v3-fp8 wrong-rotary;  sed -i 's/"rope_theta": 10000.0/"rope_theta": 10100.0/' "$work/wrong-rotary/config.json"

# run NAME PACKAGE TRACES EXPECTED: verifies once.
run() {
  local name=$1 pack=$2 traces=$3 expected=$4 t rc line
  t=$(left); if [ "$t" -lt 5 ]; then echo "$name NOT RUN, no time left" | tee "$out/$name.line"; return; fi
  local at=$SECONDS
  # shellcheck disable=SC2086
  timeout "$t" bash -c '. "$0"; moxie verify "$@"' "$env" "$pack" --device "$DEVICE" --diagnosis 5 --json $traces > "$out/$name.json" 2> "$out/$name.err"; rc=$?
  line=$(awk '
    function number(s) { gsub(/[^-+0-9.eE]/, "", s); return s + 0 }
    /^  "verdict"/ { verdict = $0; gsub(/.*: "|",?/, "", verdict) }
    /"refusals" *: *\[ *[^] ]/ { refused = 1 }
    /^    "routing" :/ { inside = 1 } /^      "routing" :/ { inside = 1 }
    inside && /"match"/ { match_ += number($NF) } inside && /"tie"/ { tie += number($NF) }
    inside && /"mismatch"/ { mismatch += number($NF); inside = 0 }
    /"actual"/ { a = number($NF) } /"expected"/ { e = number($NF) }
    /"bound"/ && a != "" { b = number($NF); d = a - e; if (d < 0) d = -d; if (d > 0 && d / b > worst) worst = d / b; a = "" }
    END { printf "%s worst %.3f routing %d match %d tie %d mismatch%s", verdict, worst, match_, tie, mismatch, refused ? " REFUSED ON OPENING" : "" }
  ' "$out/$name.json")
  local ok=UNEXPECTED; [ "$rc" = "$expected" ] && ok=ok
  [ "$expected" = 0 ] && [ "$rc" != 0 ] && ok="UNEXPECTED $(head -c 300 "$out/$name.err" | tr '\n' ' ')"
  # What has no kernel there is refused in one sentence, which is right.
  [ "$rc" = 3 ] && grep -q 'use --device cpu' "$out/$name.err" && line="refused: $(grep -o 'expected.*' "$out/$name.err" | head -c 160)" && ok=ok
  echo "$name rc $rc $line $((SECONDS - at)) s $ok" | tee "$out/$name.line"
}

# Packages.
for c in "$fixtures"/tiny-mixtral "$fixtures"/tiny-deepseek-v3-fp8 "$fixtures"/random/* "$fixtures"/variants/* "$work"/wrong-*; do
  [ -e "$c/config.json" ] || continue
  pool; (moxie convert "$c" "$work/p/$(basename "$c")" > "$out/convert-$(basename "$c").log" 2>&1 || moxie convert "$c" "$work/p/$(basename "$c")" --mtp drop > "$out/convert-$(basename "$c").log" 2>&1 || echo "NOT CONVERTED $(basename "$c"): $(tail -1 "$out/convert-$(basename "$c").log")") &
done; wait
echo "converted in $((SECONDS - begin)) s"

for w in experts gate-up key-value; do pool; run "wrong-$w" "$work/p/wrong-$w" "$(traces "$fixtures/tiny-mixtral")" 1 & done
for w in layers scale rotary; do pool; run "wrong-$w" "$work/p/wrong-$w" "$(traces "$fixtures/tiny-deepseek-v3-fp8")" 1 & done
for i in $(seq -w "$PROCESSES"); do
  for c in tiny-mixtral tiny-deepseek-v3-fp8; do pool; run "$c-$i" "$work/p/$c" "$(traces "$fixtures/$c")" 0 & done
done
for c in "$fixtures"/random/* "$fixtures"/variants/*; do
  ls "$c"/trace*.safetensors > /dev/null 2>&1 || continue
  # Attention within chunks has no kernel there.
  case $(basename "$c") in llama4_text | bf16-short-chunks | f16-tied | f32-three-experts | v2-grouped | v3-eight-groups-fp8 | v3-ungrouped-unnormalised) expected=3 ;; *) expected=0 ;; esac
  pool; run "other-$(basename "$c")" "$work/p/$(basename "$c")" "$(traces "$c")" "$expected" &
done
for t in "$fixtures"/precision/tiny-*.safetensors; do
  c=tiny-mixtral; case $t in *deepseek*) c=tiny-deepseek-v3-fp8 ;; esac
  pool; run "other-precision-$(basename "$t" .safetensors)" "$work/p/$c" " --reference $t" 0 &
done
wait

echo "--- summary, $((SECONDS - begin)) s"
for k in tiny-mixtral tiny-deepseek-v3-fp8 other wrong; do
  cat "$out/$k"-*.line 2> /dev/null | awk -v k="$k" '
    { n++; if ($NF == "ok") good++; else bad = bad " " $1; for (i = 1; i < NF; i++) if ($i == "worst" && $(i + 1) > worst) worst = $(i + 1) }
    END { printf "%s: %d of %d as expected, worst ratio %s; not:%s\n", k, good, n, worst, bad == "" ? " none" : bad }'
done
rm -rf "$work"; echo "reports: $out"
