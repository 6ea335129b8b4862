#!/usr/bin/env bash
# Benchmark against MirrorMaker 2; `--help` has the options. Builds what it needs; both
# clusters and everything else it starts are gone in the end, but for --keep.
set -euo pipefail

cd "$(dirname "$0")/../.."

deploy/install.sh
tests/venv.sh
if [[ " $* " != *' --relay'* ]]; then
    output=$({ cmake --preset release && cmake --build --preset release --target kafka-relay; } 2>&1) ||
        { printf '%s\n' "$output" >&2 && exit 1; }
fi
mkdir -p build/bench
exec 9>build/bench/lock
flock -n 9 || { echo 'run.sh: another benchmark is running here' >&2 && exit 1; }
if [[ tests/bench/records.c -nt build/bench/records ]]; then
    # shellcheck disable=SC2046 # several words are meant
    cc -std=gnu17 -O2 -Wall -Wextra -o build/bench/records tests/bench/records.c \
        $(pkg-config --cflags --libs rdkafka)
fi
exec build/venv/bin/python tests/bench/bench.py "$@"
