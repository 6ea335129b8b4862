#!/usr/bin/env bash
# kafka-relay between two real Kafka clusters on this machine, in one command.
#
#   deploy/demo.sh         install, build, start, copy, show; may be run again
#   deploy/demo.sh stop    stop what it started, delete its data
#   deploy/demo.sh clean   the same as stop
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly kafka=deploy/local/kafka
readonly relay=build/release/kafka-relay
readonly config=config/examples/demo.yaml
readonly state=build/demo log=build/demo/relay.log pid_file=build/demo/relay.pid
readonly east=demo-east west=demo-west
readonly records=2000

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# The pid of the relay that this script started, if it still runs.
relay_pid() {
    local pid
    pid=$(cat $pid_file 2>/dev/null) &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "$config" &&
        echo "$pid"
}

stop() {
    local pid
    if pid=$(relay_pid); then
        kill -TERM "$pid"
        for _ in $(seq 120); do
            relay_pid >/dev/null || break
            sleep 0.1
        done
    fi
    rm -f $pid_file
    $kafka destroy $east
    $kafka destroy $west
    say "stopped"
}

build() {
    deploy/install.sh build kafka
    $kafka fetch
    cmake --preset release >/dev/null
    cmake --build --preset release --target kafka-relay | tail -n 1
}

# Lines of "key<tab>value" that look like what such a network sends.
netflow() {
    awk -v n="$1" 'BEGIN { srand(); for (i = 0; i < n; i++) { r = int(rand() * 8)
        printf "edge-%02d\t{\"router\":\"edge-%02d\",\"proto\":\"%s\",\"src\":\"10.%d.%d.%d\",\"dst\":\"192.0.2.%d\",\"dport\":%d,\"packets\":%d,\"bytes\":%d}\n",
        r, r, rand() < .8 ? "tcp" : "udp", rand() * 256, rand() * 256, rand() * 256,
        rand() * 256, rand() < .6 ? 443 : 53, rand() * 100 + 1, rand() * 90000 } }'
}

syslog() {
    awk -v n="$1" 'BEGIN { srand(); for (i = 0; i < n; i++) { h = int(rand() * 20)
        printf "host-%02d\t<%d>1 2026-01-31T08:%02d:%02dZ host-%02d sshd %d - - Accepted publickey for backup from 198.51.100.%d\n",
        h, 38, rand() * 60, rand() * 60, h, rand() * 32768, rand() * 256 } }'
}

produce() { # TOPIC
    KAFKA_TOOL_LOG_LEVEL=ERROR $kafka run org.apache.kafka.tools.ConsoleProducer \
        --bootstrap-server "$($kafka bootstrap $east)" --topic "$1" \
        --reader-property parse.key=true --compression-codec lz4
}

fill() {
    netflow $records | produce mytelco.service6.netflow.lon
    netflow $records | produce mytelco.service6.netflow.par
    syslog $records | produce syslog.lon
    # These the whitelist must leave behind.
    syslog 100 | produce syslog.lon.test
    netflow 100 | produce internal.billing
}

start_relay() {
    if relay_pid >/dev/null; then
        return
    fi
    DEMO_EAST=$($kafka bootstrap $east)
    DEMO_WEST=$($kafka bootstrap $west)
    export DEMO_EAST DEMO_WEST
    $relay run $config >/dev/null 2>>$log </dev/null &
    echo $! >$pid_file
    until relay_pid >/dev/null || ! kill -0 "$(cat $pid_file)" 2>/dev/null; do
        sleep 0.05 # until the shell has become the relay
    done
}

# Records in a topic of a cluster: the sum of its end offsets, as far as they
# can be read (markers of transactions count, so the copies show some more).
topics_of() {
    $kafka run org.apache.kafka.tools.GetOffsetShell \
        --bootstrap-server "$($kafka bootstrap "$1")" 2>/dev/null |
        awk -F: '$1 !~ /^(__|kafka-relay\.)/ { sum[$1] += $3 }
                 END { for (t in sum) printf "  %-32s %d\n", t, sum[t] }' | sort
}

wait_for_lag_0() {
    local from=$1
    for _ in $(seq 300); do
        if tail -n "+$from" $log | grep -q "status: .* lag 0, lanes 4/4 running"; then
            tail -n "+$from" $log | grep "status: " | tail -n 1
            return
        fi
        if ! relay_pid >/dev/null; then
            tail -n 20 $log >&2
            echo "the relay has ended, see above" >&2
            exit 1
        fi
        sleep 0.2
    done
    tail -n 20 $log >&2
    echo "the lag does not reach 0 within 60 s, see above" >&2
    exit 1
}

show() {
    say "three of the copied records, read committed on the west"
    $kafka run org.apache.kafka.tools.consumer.ConsoleConsumer \
        --bootstrap-server "$($kafka bootstrap $west)" --topic syslog.lon \
        --from-beginning --max-messages 3 --isolation-level read_committed \
        --formatter-property print.key=true \
        --formatter-property print.partition=true 2>/dev/null
    say "topics on the east (end offsets)"
    topics_of $east
    say "topics on the west: internal.billing is in no rule, syslog.lon.test is excluded"
    topics_of $west
}

main() {
    local from
    case ${1:-start} in
    stop | clean) stop && return ;;
    start) ;;
    *) echo "usage: deploy/demo.sh [stop]" >&2 && exit 64 ;;
    esac
    mkdir -p $state
    say "installing what is missing, building"
    build
    say "starting two clusters"
    $kafka start $east --set auto.create.topics.enable=true --set num.partitions=3 &
    $kafka start $west &
    wait
    $kafka status $east && $kafka status $west
    say "filling topics on the east"
    fill
    say "kafka-relay run $config"
    touch $log
    from=$(($(wc -l <$log) + 1))
    start_relay
    wait_for_lag_0 "$from"
    show
    say "it goes on copying. What to look at next:"
    cat <<TEXT
  tail -f $log
  deploy/demo.sh                      # more records; watch them arrive
  DEMO_EAST=$($kafka bootstrap $east) DEMO_WEST=$($kafka bootstrap $west) $relay check $config --connect
  kill -9 \$(cat $pid_file)            # then deploy/demo.sh: nothing lost, nothing twice
  README.md, docs/config.md           # every setting
  deploy/demo.sh stop                 # stops relay and clusters, deletes their data
TEXT
}

main "$@"
