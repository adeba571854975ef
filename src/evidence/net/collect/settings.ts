import { splitWords } from "../parse/values.ts";

/** Settings of each device that a finding reads. */
const IPV4_DEVICE = splitWords(
  "rp_filter forwarding log_martians route_localnet accept_source_route arp_ignore",
);
const IPV6_DEVICE = splitWords("disable_ipv6 forwarding accept_source_route");
/** Settings that exist in every namespace and that a finding reads: there the host's value would be another's. */
const EVERYWHERE = splitWords(`
  ipv4/ip_forward ipv4/ip_local_port_range ipv4/ipfrag_high_thresh ipv4/ipfrag_time
  ipv4/tcp_max_syn_backlog ipv4/tcp_syncookies ipv4/tcp_abort_on_overflow ipv4/tcp_rmem ipv4/tcp_tw_reuse
  ipv4/tcp_timestamps ipv6/ip6frag_high_thresh ipv6/ip6frag_time
  core/somaxconn core/rmem_max core/rmem_default
  netfilter/nf_conntrack_max netfilter/nf_conntrack_buckets
`);

/**
 * Asked only of the namespace that shows what the kernel has once, the host's: those settings themselves, and what no finding
 * reads but whoever reads a recording may want to know. 150 files below /proc/sys take as long as two tools.
 */
const IPV4_DEVICE_HOST = splitWords("accept_local src_valid_mark arp_filter arp_announce");
const IPV6_DEVICE_HOST = splitWords("mtu accept_ra");
const HOST = [
  ...splitWords(`
    ip_default_ttl ip_no_pmtu_disc ip_nonlocal_bind fwmark_reflect route/min_pmtu ipfrag_low_thresh ipfrag_max_dist
    icmp_ratelimit icmp_ratemask icmp_echo_ignore_all icmp_msgs_per_sec tcp_mem tcp_wmem
    tcp_retries2 tcp_syn_retries tcp_synack_retries tcp_max_orphans tcp_max_tw_buckets tcp_fin_timeout
    tcp_mtu_probing udp_mem udp_rmem_min
    neigh/default/gc_thresh1 neigh/default/gc_thresh2 neigh/default/gc_thresh3
    neigh/default/unres_qlen neigh/default/unres_qlen_bytes
  `).map((name) => `ipv4/${name}`),
  ...splitWords(`
    route/max_size icmp/ratelimit bindv6only
    neigh/default/gc_thresh1 neigh/default/gc_thresh2 neigh/default/gc_thresh3
  `).map((name) => `ipv6/${name}`),
  ...splitWords(`
    wmem_max wmem_default optmem_max default_qdisc qdisc_max_burst
    netdev_max_backlog netdev_budget netdev_budget_usecs dev_weight
    flow_limit_cpu_bitmap flow_limit_table_len rps_sock_flow_entries xfrm_larval_drop
  `).map((name) => `core/${name}`),
  ...splitWords(`
    nf_conntrack_tcp_be_liberal nf_conntrack_tcp_loose nf_conntrack_tcp_timeout_established nf_conntrack_checksum
    nf_conntrack_log_invalid nf_conntrack_acct nf_conntrack_frag6_high_thresh
  `).map((name) => `netfilter/${name}`),
  ...splitWords("bridge-nf-call-iptables bridge-nf-call-ip6tables").map((name) => `bridge/${name}`),
];

function inFolder(folder: string, names: readonly string[]): string {
  return names.map((name) => `${folder}/${name}`).join(" ");
}

/**
 * A shell function `settings`: lines `PATH:VALUE`, the path from /proc/sys/net on, because one from the root on takes three times as long to
 * open. Settings for devices to come (`default`) decide nothing yet. Names of devices hold no blanks. A glob for each setting would
 * take longer than reading them.
 */
export const SETTINGS_FUNCTION = `
settings() {
  cd /proc/sys/net || return
  once=
  [ -e core/netdev_max_backlog ] && once=yes
  paths='${EVERYWHERE.join(" ")}'
  [ -n "$once" ] && paths="$paths ${HOST.join(" ")}"
  for device in ipv4/conf/*; do
    [ "$device" = ipv4/conf/default ] && continue
    paths="$paths ${inFolder("$device", IPV4_DEVICE)}"
    [ -n "$once" ] && paths="$paths ${inFolder("$device", IPV4_DEVICE_HOST)}"
  done
  for device in ipv6/conf/*; do
    [ "$device" = ipv6/conf/default ] && continue
    paths="$paths ${inFolder("$device", IPV6_DEVICE)}"
    [ -n "$once" ] && paths="$paths ${inFolder("$device", IPV6_DEVICE_HOST)}"
  done
  set -f
  grep -saH '' $paths
  set +f
  cd /
}
`;
