#!/bin/sh
# systemctl [--no-block] restart UNIT: for a machine without systemd. It ends the daemon, waits until unit.sh has
# started it again, and notes that down in /run/units/UNIT.restarts, a line for each time.
set -eu

wait=yes
if [ "$1" = --no-block ]; then wait='' && shift; fi
pid=/run/units/${2:-}.pid
if [ "$1" != restart ] || [ ! -e "$pid" ]; then
    echo "systemctl $*: no such unit here" >&2
    exit 5
fi
before=$(cat "$pid")
echo "$before" >> "/run/units/$2.restarts"
kill "$before"
[ "$wait" ] || exit 0
for _ in $(seq 300); do
    if [ "$(cat "$pid")" != "$before" ] && sh -c "$(cat "/run/units/$2.ready")" > /dev/null 2>&1; then exit 0; fi
    sleep 0.1
done
echo "systemctl: $2 does not come back" >&2
exit 1
