# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# A guest of a real VMM, recorded on this machine and replayed. Read by ../dev; what runs in the guest, and what judges
# the log, is in tools/record.

# What the guest needs of modules, the driver of the IOMMU before there is a device; what they need in turn is found.
# Where one is built into the kernel there is no file, and newer ones have no crc32c_generic.
record_modules=(virtio_iommu virtio_pci virtio_blk virtio_net crc32c_generic ext4)

# record_fetch PACKAGE: Debian's, unpacked into $record/PACKAGE and not installed. Lists may be old, or not there.
record_fetch() {
    local directory="$record/$1"
    [ ! -d "$directory" ] || return 0
    mkdir -p "$record/deb"
    rm -f "$record/deb/$1"_*.deb
    (cd "$record/deb" && apt-get -o APT::Sandbox::User=root download "$1") ||
        (record_update && cd "$record/deb" && apt-get -o APT::Sandbox::User=root download "$1") || return
    record_unpack "$record/deb/$1"_*.deb "$directory" || return
    rm -f "$record/deb/$1"_*.deb
}

record_update() {
    local -a as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update
}

# record_unpack FILE DIRECTORY: whole, or it is not there.
record_unpack() {
    rm -rf "$2.new" "$2"
    dpkg-deb -x "$1" "$2.new" && mv "$2.new" "$2"
}

# record_kernel [FILE|PACKAGE]: sets kernel, the directory it is in. By default what the newest package that stands for
# "the kernel" depends on. 6.1, of Debian 12, has no virtio-iommu; its security updates have 6.12.
record_kernel() {
    local package=${1:-} candidate
    if [ -f "$package" ]; then
        kernel="$record/$(basename "$package" .deb)"
        record_unpack "$package" "$kernel" || return
        stage_remark=$(basename "$package")
        return
    fi
    if [ -z "$package" ]; then
        apt-cache show linux-image-amd64 >/dev/null 2>&1 || record_update || return
        for candidate in linux-image-6.12-amd64 linux-image-amd64; do
            package=$(apt-cache show --no-all-versions "$candidate" 2>/dev/null |
                sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p') || true
            [ -z "$package" ] || break
        done
        [ -n "$package" ] || {
            echo 'no linux-image-amd64 is offered here: name a package or a file with --kernel'
            return 1
        }
    fi
    record_fetch "$package" || return
    kernel="$record/$package" stage_remark=$package
}

# record_module NAME DIRECTORY: unpacked into it, after those it depends on; their names go into its file order.
record_module() {
    local name=${1//-/_} file
    local -a needed=()
    [ ! -f "$2/$name.ko" ] || return 0
    file=$(find "$kernel"/lib/modules "$kernel"/usr/lib/modules -name "${name//_/[-_]}.ko*" 2>/dev/null | sort | tail -n 1) || true
    case $file in
    *.ko) cp "$file" "$2/$name.ko" ;;
    *.ko.xz) "$busybox" xz -dc "$file" >"$2/$name.ko" ;;
    *.ko.zst) zstd -dcq "$file" >"$2/$name.ko" ;;
    *.ko.gz) gzip -dc "$file" >"$2/$name.ko" ;;
    *)
        grep -qs "/${name//_/[-_]}\.ko$" "$kernel"/{,usr/}lib/modules/*/modules.builtin && return
        echo "this kernel has no $name"
        [ "$name" != virtio_iommu ] # of the others the guest says what it misses
        return
        ;;
    esac || return
    # depmod's lists come into being when a package is installed; each module says it too.
    IFS=, read -ra needed < <(tr '\0' '\n' <"$2/$name.ko" | sed -n 's/^depends=//p') || true
    for file in ${needed[@]+"${needed[@]}"}; do
        record_module "$file" "$2" || return
    done
    echo "$name.ko" >>"$2/order"
}

# The initramfs: busybox, the modules and the guest's only script. Not compressed, the guest is slow.
record_initramfs() {
    local tree="$out/initramfs" module
    rm -rf "$tree"
    mkdir -p "$tree/bin" "$tree/modules"
    install -m 755 "$busybox" "$tree/bin/busybox" || return
    install -m 755 "$root/tools/record/init.sh" "$tree/init" || return
    for module in "${record_modules[@]}"; do
        record_module "$module" "$tree/modules" || return
    done
    (cd "$tree" && find . | "$busybox" cpio -o -H newc) >"$out/initramfs.cpio" || return
    stage_remark="$(wc -l <"$tree/modules/order") modules" || return
    rm -rf "$tree"
}

# record_script COMMAND...: what can be run again, and changed.
record_script() {
    local word
    # shellcheck disable=SC2016 # it is not to be expanded
    printf '#!/bin/sh\ncd "$(dirname "$0")" && truncate -s 64M disk.img &&\n%s' "$1"
    shift
    for word; do
        [[ $word != -* ]] || printf ' \\\n   '
        if [[ $word =~ ^[[:alnum:]_./:,=+-]+$ ]]; then
            printf ' %s' "$word"
        else
            printf " '%s'" "${word//\'/\'\\\'\'}"
        fi
    done
    echo
}

# record_boot SECONDS OPTION...: until the guest powers off. What it says is on standard output and in console.log; how
# QEMU is called is in qemu.sh. A kernel that checks its timer panics where the host gives QEMU no time just then.
record_boot() {
    local seconds=$1 status=0
    shift
    rm -f "$out"/{qemu.log,console.log,disk.img}
    record_script qemu-system-x86_64 -machine q35 -cpu max -smp 2 -m 512M \
        -nodefaults -no-user-config -display none -no-reboot \
        -kernel "$(echo "$kernel"/boot/vmlinuz-*)" -initrd initramfs.cpio \
        -append 'console=ttyS0 quiet panic=-1 no_timer_check iommu.strict=1' \
        -chardev stdio,id=console,signal=off,logfile=console.log -serial chardev:console \
        -device virtio-iommu-pci \
        -drive if=none,id=d0,file=disk.img,format=raw,cache=unsafe \
        -device virtio-blk-pci,drive=d0,iommu_platform=on,disable-legacy=on \
        -netdev user,id=n0,restrict=on,guestfwd=tcp:10.0.2.100:7-cmd:cat \
        -device virtio-net-pci,netdev=n0,iommu_platform=on,disable-legacy=on,romfile= \
        -trace 'virtio_iommu_*' -msg timestamp=on -D qemu.log \
        "$@" -accel tcg >"$out/qemu.sh" # the last: QEMU tries what comes before it first
    timeout --foreground -k 10 "$seconds" sh "$out/qemu.sh" </dev/null || status=$?
    rm -f "$out/disk.img"
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        echo "the guest was not done after $seconds s; where the machine is busy it may need more: --seconds N"
    elif [ "$status" -ne 0 ]; then
        echo "QEMU has ended with exit status $status"
    elif ! grep -q '^guest: all is well' "$out/console.log"; then
        echo 'the guest has not done what it should; how far it came is above'
    else
        stage_remark="$(wc -l <"$out/qemu.log") lines of log"
        return 0
    fi
    return 1
}

# record [--log FILE] [-- OPTION...]: boot a Debian guest in QEMU, record its IOMMU and replay it; or a log of yours
command_record() {
    local record="$root/build/record" out='' seconds=1200 log='' kernel='' busybox trace
    local -a judged=()
    while [ $# -gt 0 ]; do
        case $1 in
        --log | --out | --kernel | --seconds) [ $# -gt 1 ] || die "record: $1 of what?" ;;&
        --log) log=$2 ;;
        --out) out=$2 ;;
        --kernel) kernel=$2 ;;
        --seconds) seconds=$2 ;;
        --)
            shift
            break
            ;;
        *) die "record: no such option: $1 (--log, --out, --kernel, --seconds; those of QEMU after --)" ;;
        esac
        shift 2
    done
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "record: not a number of seconds: $seconds"
    mkdir -p "${out:=$record/out}"
    out=$(cd "$out" && pwd)

    if [ -z "$log" ]; then
        [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
            die 'record: the guest is made of packages for amd64 of Debian; elsewhere record your own, for --log FILE'
        log="$out/qemu.log" judged=(--complete --least 1000)
        need "${needs_build[@]}" "${needs_replay[@]}" python3=python3 qemu-system-x86_64=qemu-system-x86
        stage 'record: kernel' record_kernel "$kernel" || exit 1
        stage 'record: busybox' record_fetch busybox-static || exit 1
        busybox=$(find "$record/busybox-static" -path '*bin/busybox')
        stage 'record: initramfs' record_initramfs || exit 1
        stage 'record: guest' record_boot "$seconds" "$@" || exit 1
    else
        [ -r "$log" ] || die "record: cannot read $log"
        need "${needs_build[@]}" "${needs_replay[@]}" python3=python3
    fi
    stage 'release: configure' configure release -DTIDE_BUILD_TESTS=OFF -DTIDE_BUILD_BENCH=OFF \
        -DTIDE_BUILD_REPLAY=ON || exit 1
    stage 'release: build' build release --target tidemark-replay || exit 1
    printf '\n'
    trace="$out/$(basename "$log" .log).trace.zst"
    "$root/tools/record/replay-log.sh" ${judged[@]+"${judged[@]}"} "$root/build/release/bin/tidemark-replay" "$log" \
        "$trace" || die 'record: this is no recording that Tidemark replays'
    printf '\n'
    note "recorded and replayed, every answer was right: $trace"
}
