#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. The last line counts
# them; the exit code is not 0 when one failed or a step broke.
#
#   tests/run.sh              all of it
#   tests/run.sh STEP...      only these: unit e2e faults matrix sanitizers; or bench,
#                             the benchmark's quick run (a quiet machine, please)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

readonly results=build/results
readonly steps=${*:-unit e2e faults matrix sanitizers}
broken=0

# librdkafka is not instrumented: its atomics are invisible, its reference counts
# would look like races.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1

# Runs one step; a failing one is told and does not hide those after it.
step() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "== $name: done in $((SECONDS - start)) s"
    else
        echo "== $name: FAILED after $((SECONDS - start)) s"
        broken=$((broken + 1))
        return 1
    fi
}

wanted() { [[ " $steps " == *" $1 "* ]]; }

prepare() {
    deploy/install.sh &&
        deploy/local/kafka fetch &&
        KAFKA_VERSION=3.9.2 deploy/local/kafka fetch &&
        tests/venv.sh
}

build() {
    cmake --preset "$1" -DWERROR=ON -DBUILD_TESTING=ON >build/configure-"$1".log ||
        { cat build/configure-"$1".log && return 1; }
    cmake --build --preset "$1"
}

unit() { # PRESET
    ctest --test-dir build/"$1" --output-on-failure --timeout 120 \
        --output-junit "$PWD/$results/unit-$1.xml"
}

# NAME PRESET [pytest's arguments]: the end-to-end tests with that build
e2e() {
    local name=$1 preset=$2
    shift 2
    KAFKA_RELAY=build/$preset/kafka-relay build/venv/bin/python -m pytest \
        -q -p no:cacheprovider --junitxml "$results/$name.xml" "$@"
}

# Most of the time a test waits for a broker: three at once, with clusters of their own.
not_measuring() {
    e2e e2e-1 release tests/e2e -n 3 --dist worksteal --ignore=tests/e2e/test_running.py
}
measuring() { e2e e2e-2 release tests/e2e/test_running.py; }
some_faults() { e2e faults-1 release tests/faults --part 1/2; }
other_faults() { e2e faults-2 release tests/faults --part 2/2; }
matrix_from() { SOURCE_KAFKA_VERSION=3.9.2 e2e e2e-from-3.9.2 release tests/e2e -m matrix; }
matrix_to() { TARGET_KAFKA_VERSION=3.9.2 e2e e2e-to-3.9.2 release tests/e2e -m matrix; }
under_asan() { e2e e2e-asan asan tests/e2e -m sanitizers; }
under_tsan() { e2e e2e-tsan tsan tests/e2e -m sanitizers; }

# Two steps side by side, each with clusters of its own: nothing in them measures
# time. What they print comes one after the other.
both() { # NAME FIRST SECOND
    step "$1" side_by_side "$2" "$3"
}

side_by_side() {
    local failed=0 second
    "$2" >build/"$2".log 2>&1 &
    second=$!
    "$1" || failed=1
    wait $second || failed=1
    cat build/"$2".log
    return $failed
}

main() {
    mkdir -p $results
    rm -f $results/*.xml
    # Everything after this needs it.
    step "install" prepare && step "build release" build release || return

    if wanted unit; then
        step "unit tests" unit release
        step "build asan" build asan &&
            step "unit tests under ASan, UBSan and LSan" unit asan
    fi
    if wanted e2e; then
        step "end-to-end tests" not_measuring
        step "end-to-end tests that measure" measuring
    fi
    if wanted faults; then
        both "each fault once" some_faults other_faults
    fi
    if wanted matrix; then
        both "Kafka 3.9.2 to 4.3.0, and 4.3.0 to 3.9.2" matrix_from matrix_to
    fi
    if wanted sanitizers; then
        step "build asan" build asan
        step "build tsan" build tsan
        both "end-to-end under ASan, UBSan, LSan, and under TSan" under_asan under_tsan
    fi
    if wanted bench; then
        step "benchmark, quick" tests/bench/run.sh --quick
    fi
}

main
python3 tests/count.py "$broken" $results/*.xml
