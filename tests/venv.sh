#!/usr/bin/env bash
# Makes or updates build/venv, the Python environment of the end-to-end tests.
# Says nothing and ends at once when there is nothing to do.
set -euo pipefail

cd "$(dirname "$0")/.."
requirements=tests/e2e/requirements.txt
venv=build/venv

up_to_date() {
    [[ -x $venv/bin/python ]] && sha256sum --status --check "$venv/requirements.sha256" 2>/dev/null
}

up_to_date && exit

mkdir -p build
exec 9>build/venv.lock # of two at once the second waits, and then finds it done
flock 9
up_to_date && exit

printf 'venv.sh: installing %s into %s\n' "$requirements" "$venv"
if ! output=$({
    python3 -m venv "$venv" &&
        "$venv/bin/pip" --disable-pip-version-check install -q --only-binary :all: -r "$requirements"
} 2>&1); then
    printf '%s\nvenv.sh: could not install %s into %s; if venv or pip is missing, run deploy/install.sh test; ' \
        "$output" "$requirements" "$venv" >&2
    printf 'otherwise delete %s and run this again\n' "$venv" >&2
    exit 1
fi
# Last, so that an interrupted installation is taken up again.
sha256sum "$requirements" >"$venv/requirements.sha256"
