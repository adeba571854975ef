#!/bin/busybox sh
# The first program of a machine that vm.sh boots; as `init.sh run` (second time, in the root file system) it runs the guest.
b=/bin/busybox
if [ "${1:-}" != run ]; then
  $b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
  for module in /modules/*.ko; do $b insmod "$module"; done
  tries=0; while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do $b sleep 0.1; tries=$((tries + 1)); done
  $b mount -t ext4 -o rw,noatime /dev/vda /new
  cd /new && $b mkdir -p out checkout tools lib/modules usr/lib/modules matrix && cd /
  options=trans=virtio,version=9p2000.L,msize=262144
  # Uncached where files are written and read at once: with a cache a NUL byte was read (7.3). Cached where a big binary starts from.
  $b mount -t 9p -o $options,cache=none out /new/out
  for folder in checkout tools; do $b mount -t 9p -o $options,ro,cache=loose $folder /new/$folder; done
  $b mount -t 9p -o $options,ro,cache=loose modules /new/usr/lib/modules
  [ -L /new/lib ] || $b mount -t 9p -o $options,ro,cache=loose modules /new/lib/modules
  for folder in proc sys dev; do $b mount -o move /$folder /new/$folder; done
  $b mkdir -p /new/matrix; $b cp $b /new/matrix/busybox; $b cp /init /new/matrix/init
  exec $b switch_root /new /matrix/busybox sh /matrix/init run
fi

b=/matrix/busybox
echo 3 >/proc/sys/kernel/printk
for folder in run tmp; do $b mount -t tmpfs tmpfs /$folder; done
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts; $b mount -t tmpfs tmpfs /dev/shm
$b mount -t debugfs debugfs /sys/kernel/debug; $b mount -t tracefs tracefs /sys/kernel/tracing
$b mount -t bpf bpf /sys/fs/bpf; $b mount -t cgroup2 cgroup2 /sys/fs/cgroup
[ -e /dev/fd ] || $b ln -s /proc/self/fd /dev/fd
# Nobody else makes these; `nft -f -` opens the first by its name.
for stream in 0:stdin 1:stdout 2:stderr; do
  [ -e /dev/${stream#*:} ] || $b ln -s /proc/self/fd/${stream%:*} /dev/${stream#*:}
done
$b hostname vm; $b ifconfig lo 127.0.0.1 up
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb
cd /root; eval "set -- $($b cat /out/guest.args)"
bash /out/guest "$@" </dev/null >/out/guest.log 2>&1
echo $? >/out/guest.exit
$b sync
$b poweroff -f
