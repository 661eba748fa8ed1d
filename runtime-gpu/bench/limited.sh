#!/usr/bin/env bash
# limited.sh BYTES COMMAND…: runs a command in a memory cgroup (version 1) of its own, within that
# of the shell; pages of files that it reads count. Needs root. Elsewhere:
#   systemd-run --scope -p MemoryMax=BYTES COMMAND…
set -euo pipefail
group=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/limited-$$
mkdir "$group"
trap 'rmdir "$group"' EXIT
echo "$1" > "$group/memory.limit_in_bytes"
shift
(echo $BASHPID > "$group/cgroup.procs" && exec "$@")
