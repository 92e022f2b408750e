#!/bin/sh
# boot.sh CGROUP: boots systemd as the first process of namespaces of its own, with CGROUP for the root of its cgroups
# and none but its own hierarchy, as LXC does it. In a machine to spoil that has it (Debian's package).
set -eu

echo $$ > "$1/cgroup.procs"
exec unshare --cgroup --pid --mount --fork --kill-child sh -euc '
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    mount -t proc proc /proc
    mount -t tmpfs -o mode=755 tmpfs /run
    exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target
'
