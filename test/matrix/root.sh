#!/bin/bash
# root.sh CACHE SUITE: makes CACHE/root-SUITE, a small Debian tree with that suite's bpftrace and the tools trace calls.
# root.sh CACHE SUITE CHECKOUT OUT SCRIPT ARGS...: and runs SCRIPT in it, on this machine's kernel. CHECKOUT is seen as
# /checkout (read only), OUT as /out, CACHE/bin as /tools. All mounts are private to the run.
set -eu
CACHE=$1; suite=$2; shift 2
. "$(dirname "$(readlink -f "$0")")/common.sh"
root=$CACHE/root-$suite
PACKAGES="base-files ca-certificates iproute2 iptables kmod linux-libc-dev nftables perl-base procps util-linux"

# in_tree ROOT COMMAND...: a chroot with this machine's /proc /sys /dev.
in_tree() {
  TREE=$1 unshare --mount --propagation private bash -c '
    set -e
    # `ip netns exec` wants a root that is a mount.
    mount --bind "$TREE" "$TREE"
    for folder in proc sys dev; do mount --rbind "/$folder" "$TREE/$folder"; done
    if [ -n "${CHECKOUT:-}" ]; then
      mkdir -p "$TREE/checkout" "$TREE/tools" "$TREE/out"
      mount --bind -o ro "$CHECKOUT" "$TREE/checkout"; mount --bind "$OUT" "$TREE/out"; mount --bind -o ro "$TOOLS" "$TREE/tools"
      mount -t tmpfs tmpfs "$TREE/tmp"; mount -t tmpfs tmpfs "$TREE/run"
    fi
    [ -e "$TREE/sys/kernel/tracing/events" ] || mount -t tracefs tracefs "$TREE/sys/kernel/tracing" || :
    # bpftrace 0.11 looks there and nowhere else.
    [ -e "$TREE/sys/kernel/debug/tracing" ] || mount -t debugfs debugfs "$TREE/sys/kernel/debug" || :
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin exec chroot "$TREE" "$@"
  ' in_tree "${@:2}"
}

make_root() {
  local mirror script=
  mirror=$(find_mirror)
  need debootstrap debootstrap unshare util-linux
  # A suite that is newer than this debootstrap has no script of its own: sid's does.
  [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=/usr/share/debootstrap/scripts/sid
  say "making a $suite tree"
  rm -rf --one-file-system "$root.new"
  debootstrap --variant=minbase "$suite" "$root.new" "$mirror" $script >"$CACHE/root-$suite.log" 2>&1 ||
    { tail -n 5 "$CACHE/root-$suite.log" >&2; die "debootstrap $suite failed"; }
  # A mirror that is a frozen copy serves Release files of testing past their time.
  printf 'APT::Install-Recommends "0";\nAcquire::Languages "none";\nAcquire::Check-Valid-Until "false";\n' \
    >"$root.new/etc/apt/apt.conf.d/99matrix"
  in_tree "$root.new" sh -c "export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq $PACKAGES bpftrace && apt-get clean" >>"$CACHE/root-$suite.log" 2>&1 ||
    { tail -n 5 "$CACHE/root-$suite.log" >&2; die "installing bpftrace from $suite failed"; }
  mv "$root.new" "$root"
}

mkdir -p "$CACHE"
# Two runs at once: one makes the tree, the other waits.
{ flock 9; [ -e "$root" ] || make_root; } 9>"$CACHE/lock-$suite"
[ $# -gt 0 ] || exit 0

CHECKOUT=$1 OUT=$2; shift 2
cp "$1" "$OUT/guest"; shift
export CHECKOUT OUT TOOLS=$CACHE/bin
in_tree "$root" bash /out/guest "$@"
