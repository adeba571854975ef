#!/bin/bash
# What a case of the matrix runs, in a chroot or in a virtual machine: faults on hosts of its own, and trace beside them. For each
# STEP it leaves /out/STEP.json (records), STEP.trace.gz, STEP.err, STEP.exit and STEP.truth, what the kernel and the
# rules counted, one `name value` a line. checks.ts compares.
#   guest.sh SOURCES STEP...    SOURCES: trace's cli.js below /checkout
set -u
trace=("/tools/node" "/checkout/$1"); shift
tag=m$$; a=$tag-a; b=$tag-b
folder=$(mktemp -d)
cd "$folder" || exit 1
in_a() { ip netns exec "$a" "$@"; }
in_b() { ip netns exec "$b" "$@"; }

clean() {
  trap - EXIT
  jobs -p | xargs -r kill 2>/dev/null
  ip netns del "$a" 2>/dev/null; ip netns del "$b" 2>/dev/null
  for inner in "${cgroups[@]}"; do rmdir "$inner" 2>/dev/null; done
  rm -rf "$folder"
}
cgroups=()
trap clean EXIT

# start STEP ARGS...: runs trace until `ready`. An emulated machine is slow: minutes are given.
start() {
  step=$1; shift
  : >"/out/$step.json"
  "${trace[@]}" "$@" --format json --record "/out/$step.trace.gz" >"/out/$step.json" 2>"/out/$step.err" & pid=$!
  local tries=0
  until grep -q '"type":"ready"' "/out/$step.json"; do
    kill -0 $pid 2>/dev/null && [ $tries -lt 1200 ] || { finish; return 1; }
    tries=$((tries + 1)); sleep 0.25
  done
}
finish() { wait $pid; echo $? >"/out/$step.exit"; }
stop() { kill -INT $pid 2>/dev/null; finish; }
truth() { echo "$1 $2" >>"/out/$step.truth"; }

# counter NAMESPACE PROTOCOL NAME: from /proc/net/snmp.
counter() {
  ip netns exec "$1" awk -v p="$2:" -v n="$3" '$1==p && !k {for(i=2;i<=NF;i++) if($i==n) k=i; next} $1==p {print $k}' /proc/net/snmp
}
udp() {
  in_a perl -MSocket -e 'my ($port, $count) = @ARGV; socket(my $s, PF_INET, SOCK_DGRAM, 17) or die;
    for (1 .. $count) { send($s, "x" x 64, 0, sockaddr_in($port, inet_aton("10.7.0.2"))); select undef, undef, undef, 0.02 if $_ % 50 == 0 }' "$@"
}

ip netns add "$a" && ip netns add "$b" || exit 1
ip link add "$tag" netns "$a" type veth peer name "$tag" netns "$b"
ip -n "$a" addr add 10.7.0.1/24 dev "$tag"; ip -n "$b" addr add 10.7.0.2/24 dev "$tag"
for host in "$a" "$b"; do ip -n "$host" link set lo up; ip -n "$host" link set "$tag" up; done
{ uname -r; bpftrace --version; } >/out/versions

run_doctor() {
  step=doctor
  "${trace[@]}" doctor --format json >/out/doctor.json 2>/out/doctor.err
  echo $? >/out/doctor.exit
}

# `trace script` of each probe, run by plain bpftrace with nothing of trace's around it, until its last probe ticks.
run_scripts() {
  step=scripts
  local probe pid status tries
  : >/out/scripts.err
  for probe in drops oom retrans profile kthreads; do
    { "${trace[@]}" script $probe && echo 'interval:ms:50 { printf("attached\n"); }'; } >$probe.bt 2>>/out/scripts.err
    bpftrace $probe.bt >$probe.out 2>$probe.log & pid=$!
    tries=0
    until grep -qsx attached $probe.out || ! kill -0 $pid 2>/dev/null || [ $tries -ge 480 ]; do
      tries=$((tries + 1)); sleep 0.25
    done
    grep -qx attached $probe.out && kill -INT $pid || kill -KILL $pid 2>/dev/null
    wait $pid; status=$?
    truth $probe $status
    [ $status = 0 ] || { echo "$probe: $status"; head -n 5 $probe.log; } >>/out/scripts.err
  done 2>/dev/null
  echo 0 >/out/scripts.exit
}

# A rule of nftables, one of iptables, ports where nobody listens.
run_drops() {
  in_b nft -f - <<'RULES'
table inet matrix {
  chain input {
    type filter hook input priority 0
    udp dport 7777 counter drop
  }
}
RULES
  in_b iptables -A INPUT -p udp --dport 5353 -j DROP
  start drops drops --no-profile || return
  local before; before=$(counter "$b" Udp NoPorts)
  udp 9999 500; udp 7777 300; udp 5353 200
  sleep 2
  truth closed $(($(counter "$b" Udp NoPorts) - before))
  truth nftables "$(in_b nft list table inet matrix | sed -n 's/.*7777 counter packets \([0-9]*\).*/\1/p')"
  truth iptables "$(in_b iptables -nvxL INPUT | awk '/dpt:5353/{print $1}')"
  stop
}

# Memory runs out for everybody: what a tmpfs takes is not given back, and a process takes the rest of it.
starve() {
  mkdir "$folder/full" && mount -t tmpfs -o size=100% tmpfs "$folder/full" || return
  head -c "$(awk '/MemAvailable/ {print $2 - 300000}' /proc/meminfo)K" /dev/zero >"$folder/full/ballast"
  perl -e 'open my $file, ">", "/proc/self/oom_score_adj"; print $file 1000; close $file; $n = 4_000_000; push @all, q(a) x $n while 1' &
  truth host $!
  wait $!
  umount "$folder/full"; rmdir "$folder/full"
} 2>/dev/null

# A cgroup's limit, a parent's limit; in a machine of its own also the host's memory.
run_oom() {
  local top=/sys/fs/cgroup limit=memory.max victim
  if [ -e $top/memory/memory.limit_in_bytes ]; then top=$top/memory limit=memory.limit_in_bytes
  else echo +memory >$top/cgroup.subtree_control; fi
  mkdir $top/$tag $top/$tag-par; cgroups+=("$top/$tag" "$top/$tag-par/in" "$top/$tag-par")
  [ $limit = memory.max ] && echo +memory >$top/$tag-par/cgroup.subtree_control
  mkdir $top/$tag-par/in
  echo 40M >$top/$tag/$limit; echo 40M >$top/$tag-par/$limit
  start oom oom --no-profile || return
  for victim in $top/$tag $top/$tag-par/in; do
    sh -c 'echo $$ >"$1/cgroup.procs"; exec perl -e '"'"'$n = 90_000_000; $x = q(a) x $n; sleep 1'"'" sh "$victim" & 
    truth pid $!
    wait $!
  done 2>/dev/null
  [ -e /matrix ] && starve
  sleep 4
  truth cgroup "/$tag"; truth parent "/$tag-par"
  stop
}

# 30 % loss: in the sender's own queue, or where the kernel has no netem, by a rule of the receiver. The queue stays to the end, without
# its loss: what dropped has to be there for trace to name it.
run_retrans() {
  local undo=(in_a tc qdisc change dev "$tag" root netem loss 0%)
  if ! in_a tc qdisc add dev "$tag" root netem loss 30% 2>/dev/null; then
    local rule=(INPUT -p tcp --dport 5001 -m statistic --mode random --probability 0.3 -j DROP)
    in_b iptables -I "${rule[@]}" || return
    undo=(in_b iptables -D "${rule[@]}")
  fi
  in_b perl -MSocket -e 'socket(my $l, PF_INET, SOCK_STREAM, 6); bind($l, sockaddr_in(5001, INADDR_ANY)) or die; listen($l, 5);
    while (accept(my $c, $l)) { 1 while sysread($c, my $x, 65536); close $c }' & local server=$!
  start retrans retrans --no-profile || { kill $server; return; }
  local before; before=$(($(counter "$a" Tcp RetransSegs) + $(counter "$b" Tcp RetransSegs)))
  in_a timeout 12 perl -MSocket -e 'socket(my $s, PF_INET, SOCK_STREAM, 6); connect($s, sockaddr_in(5001, inet_aton("10.7.0.2"))) or die;
    syswrite($s, "x" x 8192) for 1 .. 60; close $s'
  sleep 2
  "${undo[@]}"
  sleep 6
  truth netns "$a"; truth netns "$b"
  truth segments $(($(counter "$a" Tcp RetransSegs) + $(counter "$b" Tcp RetransSegs) - before))
  stop; kill $server
}

# A program that does nothing but count.
run_profile() {
  perl -e '$0 = "spinner"; 1 while ++$i' & local spinner=$!
  # Hundredths of a second that it had of a CPU: on a busy machine few of those that passed.
  ticks() { set -- $(cat /proc/$spinner/stat); echo $((${14} + ${15})); }
  start profile profile -d 5s -o "$folder/p.json" --pid $spinner && {
    local before; before=$(ticks)
    finish
    truth ticks $(($(ticks) - before))
  }
  kill $spinner
}

# A disk over a file in memory: what it reads is a worker's job. And memory runs short: what is left of it is less than the file that is read
# again and again (it has holes only, so that no disk is waited for). Only where nobody else is: in a machine of its own.
prepare_pressure() {
  modprobe loop
  mkdir "$folder/memory" && mount -t tmpfs -o size=100% tmpfs "$folder/memory" || return
  head -c 64M /dev/zero >"$folder/memory/disk"; loop=$(losetup --show --find "$folder/memory/disk")
  truncate -s 4G /root/holes
  head -c "$(awk '/MemAvailable/ {print $2 - 600000}' /proc/meminfo)K" /dev/zero >"$folder/memory/ballast"
  # What is free now is filled before the run: an emulated 5.10 does not get through it within the run.
  head -c 700M /root/holes >/dev/null
  # With little kept in reserve, kswapd falls behind several readers: they have to free memory themselves.
  echo 1024 >/proc/sys/vm/min_free_kbytes; echo 1 >/proc/sys/vm/watermark_scale_factor
}
# Ends itself: what it started would outlive it else.
press() {
  timeout 60 sh -c 'while :; do dd if="$1" of=/dev/null bs=256k iflag=direct; done' sh "$loop" 2>/dev/null & pressing=$!
  for reader in 1 2; do
    timeout 60 sh -c 'while :; do cat /root/holes; done' >/dev/null & pressing="$pressing $!"
  done
}
# What the kernel has counted so far: CPU time of kswapd in hundredths of a second, pages that it looked at, pages that programs looked at.
count_reclaim() {
  set -- $(cat "/proc/$(pgrep -x kswapd0)/stat")
  echo "$((${14} + ${15})) $(awk '/^pgscan_kswapd / {print $2}' /proc/vmstat) $(awk '/^pgscan_direct / {print $2}' /proc/vmstat)"
}

# Packets, for the softirqs; in a machine of its own also work for kswapd and for the workers.
run_kthreads() {
  local own=; [ -e /matrix ] && own=1 && prepare_pressure
  (while :; do udp 9998 200; sleep 0.1; done) & local sender=$! pressing=
  start kthreads kthreads -d "${own:+1}5s" -o "$folder/k.json" && {
    [ -n "$own" ] && press
    local before after; [ -n "$own" ] && before=($(count_reclaim))
    finish
    if [ -n "$own" ]; then
      after=($(count_reclaim))
      truth kswapd-ticks $((after[0] - before[0])); truth kswapd-pages $((after[1] - before[1]))
      truth direct-pages $((after[2] - before[2]))
      # Until 5.13 a loop device has a thread of its own.
      truth loop-thread "$(pgrep -cx 'loop[0-9]*')"
    fi
  }
  kill $sender $pressing
  [ -z "$own" ] || { wait $pressing; losetup -d "$loop"; umount "$folder/memory"; }
}

for name in "$@"; do "run_$name"; done
exit 0
