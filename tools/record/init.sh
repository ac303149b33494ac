#!/bin/busybox sh
# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The whole of the guest that `./dev record` boots: process 1 of an initramfs. It loads the drivers, makes its disk
# and its network work through the IOMMU, looks whether what it reads is what it wrote, says so and powers off.

set -eu
step='the beginning'

# Whatever goes wrong, the VM ends, and its last words say where.
finish() {
    status=$?
    if [ "$status" -eq 0 ] && [ "$step" = end ]; then
        echo 'guest: all is well'
    else
        echo "guest: FAILED in: $step (exit status $status)"
    fi
    sleep 1 # for the serial port
    poweroff -f
}

say() {
    step=$*
    echo "guest: $step"
}

# await WHAT FILE: a device has come once its file is there.
await() {
    for _ in $(seq 1200); do
        [ ! -e "$1" ] || return 0
        usleep 50000
    done
    echo "guest: no $1"
    return 1
}

# same FILE FILE: read from where it was written to, which the cache must not spare.
same() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    cmp "$1" "$2"
}

# group DEVICE: what keeps its DMA apart; without an IOMMU there is none.
group() {
    readlink -f "$1"/iommu_group
}

bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /tmp /disk
$bb --install -s /bin
export PATH=/bin
trap finish EXIT
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -c /dev/null ] || mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1

say "Linux $(uname -r), $(nproc) processors"
while read -r module; do
    say "insmod $module"
    insmod "/modules/$module"
done </modules/order

say 'wait for /dev/vda and eth0'
await /dev/vda
await /sys/class/net/eth0
disk=$(basename "$(readlink -f /sys/block/vda/device)")
card=$(readlink -f /sys/class/net/eth0/device/..)
for device in "/sys/block/vda/device/.." "$card"; do
    say "$(basename "$(readlink -f "$device")"): $(group "$device" || echo 'no IOMMU group')"
done

say 'disk: 4 MiB written and read, 128 KiB at a time'
dd if=/dev/urandom of=/tmp/data bs=128k count=32 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=128k oflag=direct 2>/dev/null
dd if=/dev/vda of=/tmp/back bs=128k count=32 iflag=direct 2>/dev/null
same /tmp/data /tmp/back

say 'disk: a file system, 16 files'
mke2fs /dev/vda >/dev/null
mount -t ext4 /dev/vda /disk
for i in $(seq 16); do
    dd if=/tmp/data of="/disk/$i" bs=64k count="$i" 2>/dev/null
done
umount /disk
mount -t ext4 /dev/vda /disk
for i in $(seq 16); do
    dd if=/tmp/data of=/tmp/back bs=64k count="$i" 2>/dev/null
    same "/disk/$i" /tmp/back
    rm "/disk/$i"
done
umount /disk

say 'network: 20 pings'
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ping -c 20 -i 0.05 -q 10.0.2.2

say 'network: 1 MiB to an echo, and back'
head -c 1048576 /tmp/data >/tmp/sent
nc 10.0.2.100 7 </tmp/sent | head -c 1048576 >/tmp/back
cmp /tmp/sent /tmp/back

say 'disk: taken from its driver, and given back'
echo "$disk" >/sys/bus/virtio/drivers/virtio_blk/unbind
echo "$disk" >/sys/bus/virtio/drivers/virtio_blk/bind
await /dev/vda
dd if=/dev/vda of=/dev/null bs=64k count=64 2>/dev/null

say 'network card: removed, and found again'
echo 1 >"$card/remove"
echo 1 >/sys/bus/pci/rescan
await /sys/class/net/eth0
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ping -c 5 -i 0.05 -q 10.0.2.2

say end
