#!/bin/sh
# room.sh LOWER SHARED TREE [ADDRESS]...: makes a machine to spoil out of the file system LOWER and stays as its init
# process. Runs in new mount and process namespaces, and with ADDRESSes in a new network (host.py). Prints "ready" when
# all stands.
#
# Everything written goes to memory, over LOWER, and is gone with the namespace. Through come only the devices, sysfs
# (for the cgroups), SHARED (writable, at its own path) and TREE (read-only, at its own path).
set -eu

lower=$1 shared=$2 tree=$3
shift 3
for address do ip address add "$address" dev lo; done
[ $# = 0 ] || ip link set lo up

room=$shared/room
mkdir "$room"
mount -t tmpfs -o mode=755 tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$room/upper,workdir=$room/work" overlay "$room/root"
cd "$room/root"

mount --rbind /sys sys
mount --rbind /dev dev
mount -t proc proc proc
# The engines of the machine underneath may be running: their state is hidden, and so are its settings for them.
for directory in run tmp var/lib/docker var/lib/containerd var/lib/containers \
    etc/docker etc/containerd etc/cdi etc/cdi-runc; do
    mkdir -p "$directory"
    mount -t tmpfs -o mode=755 tmpfs "$directory"
done
chmod 1777 tmp
mkdir -p run/lock "./$shared" "./$tree"
mount --bind "$shared" "./$shared"
mount --bind "$tree" "./$tree"
mount -o remount,bind,ro "./$tree"
# A plain user of the new machine comes to TREE too, though it may lie in root's home.
parent=${tree%/*}
while [ -n "$parent" ]; do
    chmod o+x "./$parent"
    parent=${parent%/*}
done

old=$(mktemp -d ./old.XXXXXX)
pivot_root . "$old"
umount -l "$old"
rmdir "$old"
# crun refuses a host with an (empty) v2 hierarchy beside the v1 controllers, which is what no systemd leaves.
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi

echo ready
# `wait` also collects the orphans that fall to an init process, and engines leave many.
sleep infinity &
wait
