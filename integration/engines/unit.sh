#!/bin/sh
# unit.sh NAME READY COMMAND...: runs a daemon again each time it ends, as systemd does with a unit. In a machine to
# spoil, where /run/units/systemctl (systemctl.sh) ends it; READY is a command of sh that succeeds when it is up.
set -u

name=$1
mkdir -p /run/units /run/systemd/system
printf '%s\n' "$2" > "/run/units/$name.ready"
shift 2
while :; do
    "$@" &
    echo $! > "/run/units/$name.pid"
    wait $!
done
