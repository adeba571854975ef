#!/bin/bash
# vm.sh CACHE SUITE KERNEL CHECKOUT OUT SCRIPT ARGS...: boots the Debian kernel of the suite KERNEL in QEMU with the bpftrace of
# SUITE and runs SCRIPT inside as root. CHECKOUT is seen as /checkout (read only), OUT as /out, CACHE/bin as /tools. The root file
# system is a throw-away copy; there is no network but what the script makes, and no init system.
#   MATRIX_ACCEL=tcg     kvm where the machine has one that works
#   MATRIX_MEMORY=2G     MATRIX_TIMEOUT=1500 (seconds)
# Ends as the script does; 124: out of time, 125: the machine did not get that far.
set -eu
CACHE=$1; suite=$2; from=$3; checkout=$4; out=$5; script=$6; shift 6
here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"
kernel=$CACHE/kernel-$from
image=$CACHE/image-$suite.ext4
root=$CACHE/root-$suite

# Downloads with an apt state of its own: this machine's is left alone.
get_kernel() {
  local apt=$kernel.new/apt packages package version image
  rm -rf "$kernel.new"; mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$kernel.new/deb"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(find_mirror) $from main" >"$apt/sources.list"
  : >"$apt/status"
  local options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache"
    -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=root)
  say "downloading the $from kernel"
  apt-get "${options[@]}" update >"$CACHE/kernel.log" 2>&1 || { cat "$CACHE/kernel.log" >&2; die "apt-get update failed"; }
  # The meta package names the real one; from 7.x on that is split once more.
  depends() { apt-cache "${options[@]}" depends "$1" | sed -n 's/^ *Depends: \(linux-\(image\|binary\|modules\|base\)-[^ ]*\).*/\1/p'; }
  packages=$(depends "linux-image-$(dpkg --print-architecture)")
  for package in $packages; do packages="$packages $(depends "$package")"; done
  packages=$(printf '%s\n' $packages | grep -E '^linux-(image|binary|modules|base)-[0-9]' | sort -u)
  (cd "$kernel.new/deb" && apt-get "${options[@]}" download $packages) >>"$CACHE/kernel.log" 2>&1 ||
    { tail -n 3 "$CACHE/kernel.log" >&2; die "downloading failed: $packages"; }
  for package in "$kernel.new"/deb/*.deb; do dpkg-deb -x "$package" "$kernel.new"; done
  rm -rf "$apt" "$kernel.new/deb" "$kernel.new/usr/share"
  # Newer packages hold usr/lib/modules, older ones lib/modules.
  [ -e "$kernel.new/lib/modules" ] || { rm -rf "$kernel.new/lib"; ln -s usr/lib "$kernel.new/lib"; }
  version=$(ls "$kernel.new/lib/modules")
  image=$(find "$kernel.new" -name 'vmlinuz*' -type f | head -n 1)
  [ -n "$image" ] || die "no kernel in $packages"
  ln -s "${image#"$kernel.new/"}" "$kernel.new/vmlinuz"
  depmod -b "$kernel.new" "$version"
  echo "$version" >"$kernel.new/version"
  rm -rf "$kernel"; mv "$kernel.new" "$kernel"
}

# busybox, and the modules that the disk and the shared folders need.
get_initrd() {
  local folder version count=0 file module
  version=$(cat "$kernel/version"); folder=$(mktemp -d "$CACHE/initrd.XXXXXX")
  mkdir -p "$folder"/{bin,modules,proc,sys,dev,new}
  cp "$(command -v busybox)" "$folder/bin/busybox"
  for module in virtio_pci virtio_blk ext4 9p 9pnet_virtio; do
    modprobe -d "$kernel" -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done | awk '!seen[$0]++' >"$folder/list"
  while read -r file; do
    count=$((count + 1)); module=$(printf '%s/modules/%02d.ko' "$folder" $count)
    case $file in *.xz) xz -dc "$file" ;; *.zst) zstd -qdc "$file" ;; *) cat "$file" ;; esac >"$module"
  done <"$folder/list"
  cp "$here/init.sh" "$folder/init"; chmod +x "$folder/init"; rm "$folder/list"
  (cd "$folder" && find . | cpio -o -H newc --quiet | gzip -1) >"$kernel/initrd.new"
  rm -rf "$folder"; mv "$kernel/initrd.new" "$kernel/initrd"
}

get_image() {
  local size=$(($(du -sm --one-file-system "$root" | cut -f1) + 500))
  rm -f "$image.new"
  # 5.10 does not know the newest features of ext4; an older mke2fs does not know their names.
  mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -d "$root" "$image.new" "${size}M" >/dev/null 2>&1 ||
    mke2fs -q -t ext4 -d "$root" "$image.new" "${size}M" >/dev/null
  mv "$image.new" "$image"
}

mkdir -p "$CACHE"
need qemu-system-x86_64 qemu-system-x86 busybox busybox-static cpio cpio depmod kmod mke2fs e2fsprogs xz xz-utils zstd zstd
bash "$here/root.sh" "$CACHE" "$suite"
{ flock 9
  [ -e "$kernel/version" ] || get_kernel
  [ "$kernel/initrd" -nt "$here/init.sh" ] || get_initrd
  [ "$image" -nt "$root" ] || get_image
} 9>"$CACHE/lock-vm"

cp "$script" "$out/guest"; printf '%q ' "$@" >"$out/guest.args"; rm -f "$out/guest.exit"
cpu=max; [ "${MATRIX_ACCEL:-tcg}" = kvm ] && cpu=host
share() { printf 'local,path=%s,mount_tag=%s,security_model=none,multidevs=remap%s' "$1" "$2" "${3:-}"; }
status=0
setpriv --pdeathsig TERM timeout -k 5 "${MATRIX_TIMEOUT:-1500}" setpriv --pdeathsig KILL qemu-system-x86_64 \
  -accel "${MATRIX_ACCEL:-tcg,thread=multi,tb-size=512}" -cpu "$cpu" -smp 2 -m "${MATRIX_MEMORY:-2G}" \
  -nodefaults -display none -no-reboot -nic none -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
  -append "console=ttyS0 panic=-1 mitigations=off apparmor=0 selinux=0 net.ifnames=0" \
  -chardev "file,id=console,path=$out/console" -serial chardev:console \
  -drive "file=$image,if=virtio,format=raw,snapshot=on,cache=unsafe" \
  -virtfs "$(share "$out" out)" -virtfs "$(share "$checkout" checkout ,readonly=on)" \
  -virtfs "$(share "$CACHE/bin" tools ,readonly=on)" -virtfs "$(share "$kernel/lib/modules" modules ,readonly=on)" \
  -device virtio-rng-pci </dev/null 2>"$out/qemu.log" || status=$?
[ -e "$out/guest.exit" ] && exit "$(cat "$out/guest.exit")"
[ "$status" = 124 ] && { say "the machine ran out of time"; exit 124; }
say "the machine did not get as far as the script (qemu: $status)"; tail -n 10 "$out/qemu.log" "$out/console" >&2 || :
exit 125
