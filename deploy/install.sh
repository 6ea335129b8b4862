#!/usr/bin/env bash
# Installs what kafka-relay needs on a bare Debian 12 or Ubuntu 24.04.
#
#   deploy/install.sh [build] [kafka] [test]      default: all three groups
#
#   build   compiler, libraries and tools to build the program and its unit tests
#   kafka   Java and Maven, for the real brokers of deploy/local/kafka
#   test    Python, for the tests that drive the program
#
# Says nothing on success. When everything is there it asks dpkg once and leaves
# apt alone, so that build scripts can call it every time.
set -euo pipefail

# A name is one package, or alternatives (first choice first) divided by "|".
build=(gcc cmake ninja-build pkg-config librdkafka-dev libuv1-dev libavro-dev libyaml-dev
    libpcre2-dev libmicrohttpd-dev libjansson-dev libcmocka-dev zlib1g-dev
    'clang-format-14|clang-format')
kafka=('openjdk-17-jre-headless|default-jre-headless' maven)
test=(python3 python3-venv python3-pip)

die() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

# Prints those of the arguments that are not there yet.
missing() {
    local all have name alternative
    mapfile -t all < <(printf '%s\n' "$@" | tr '|' '\n')
    # dpkg-query fails when it has never heard of one of the names: no error here.
    have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${all[@]}" 2>/dev/null) || true
    for name; do
        # A Java or Maven from elsewhere is as good as the packaged one.
        case $name in
        *-jre-*) command -v java >/dev/null && continue ;;
        maven) command -v mvn >/dev/null && continue ;;
        esac
        for alternative in ${name//|/ }; do
            grep -qxF "$alternative installed" <<<"$have" && continue 2
        done
        printf '%s\n' "$name"
    done
}

# Prints the first alternative that this release has.
choose() {
    local alternative
    for alternative in ${1//|/ }; do
        if [[ $(apt-cache policy "$alternative") == *Candidate:\ [!\(]* ]]; then
            printf '%s\n' "$alternative"
            return
        fi
    done
    die "no package ${1//|/ or } in this system's apt sources; enable the source that has it (Ubuntu: universe), then run this again"
}

# Runs one apt-get command as root; shows its output only if it fails.
apt() {
    local output root=()
    ((EUID == 0)) || root=(sudo)
    output=$("${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" 2>&1) && return
    printf '%s\n' "$output" >&2
    return 1
}

((${#})) || set -- build kafka test
wanted=()
for group; do
    case $group in
    build) wanted+=("${build[@]}") ;;
    kafka) wanted+=("${kafka[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    -h | --help) sed -n '2,/^set/ s/^# \{0,1\}//p' "$0" && exit ;;
    *) die "unknown group \"$group\"; the groups are build, kafka and test" 64 ;;
    esac
done

command -v dpkg-query >/dev/null || die 'this is no Debian or Ubuntu; install the packages named in this file by hand'
mapfile -t todo < <(missing "${wanted[@]}")
((${#todo[@]})) || exit 0

((EUID == 0)) || command -v sudo >/dev/null ||
    die "needs root to install ${todo[*]//|/ or }; run it as root, or install sudo" 77
apt update || die "apt-get update failed, needed for ${todo[*]//|/ or }; mend what it says above, then run this again"

packages=()
for name in "${todo[@]}"; do
    package=$(choose "$name") # not within +=( ), which would hide its failure
    packages+=("$package")
done
apt install --no-install-recommends "${packages[@]}" ||
    die "could not install ${packages[*]}; mend what apt says above, then run this again"
