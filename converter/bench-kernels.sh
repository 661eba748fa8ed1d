#!/usr/bin/env bash
# Measures the kernels of conversion beside a plain copy and SHA-256, in GB/s; some three minutes.
#   JAVA_HOME   a JDK 25, if none is under /usr/lib/jvm
set -euo pipefail
cd "$(dirname "$0")/.."
for jdk in "${JAVA_HOME:-}" /usr/lib/jvm/*25*; do
  grep -qs '^JAVA_VERSION="25' "$jdk/release" && break
  jdk=
done
[ -n "$jdk" ] || { echo "expected a JDK 25, found none; point JAVA_HOME at one." >&2; exit 4; }
mvn -B -q test-compile dependency:build-classpath -pl converter -am \
  -Dmdep.outputFile=target/kernels.classpath >&2
cd converter
# JMH keeps a lock in the temporary folder.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/moxie-kernels.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$jdk/bin/java" --sun-misc-unsafe-memory-access=allow -Djava.io.tmpdir="$scratch" \
  -cp "target/test-classes:target/classes:$(cat target/kernels.classpath)" \
  dev.moxie.converter.plan.KernelBenchmark
