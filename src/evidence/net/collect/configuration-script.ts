import { splitWords } from "../parse/values.ts";
import { SHELL_FUNCTIONS } from "./sections.ts";

const IPV4_DEVICE = splitWords(`
  rp_filter forwarding log_martians accept_local route_localnet src_valid_mark accept_source_route
  arp_ignore arp_filter arp_announce
`);
const IPV6_DEVICE = splitWords("disable_ipv6 forwarding mtu accept_ra accept_source_route");
const IPV4 = splitWords(`
  ip_forward ip_default_ttl ip_no_pmtu_disc ip_local_port_range ip_nonlocal_bind fwmark_reflect route/min_pmtu
  ipfrag_high_thresh ipfrag_low_thresh ipfrag_time ipfrag_max_dist
  icmp_ratelimit icmp_ratemask icmp_echo_ignore_all icmp_msgs_per_sec
  tcp_max_syn_backlog tcp_syncookies tcp_abort_on_overflow tcp_mem tcp_rmem tcp_wmem
  tcp_retries2 tcp_syn_retries tcp_synack_retries tcp_max_orphans tcp_max_tw_buckets tcp_tw_reuse tcp_fin_timeout
  tcp_mtu_probing tcp_timestamps udp_mem udp_rmem_min
  neigh/default/gc_thresh1 neigh/default/gc_thresh2 neigh/default/gc_thresh3
  neigh/default/unres_qlen neigh/default/unres_qlen_bytes
`);
const IPV6 = splitWords(`
  ip6frag_high_thresh ip6frag_time route/max_size icmp/ratelimit bindv6only
  neigh/default/gc_thresh1 neigh/default/gc_thresh2 neigh/default/gc_thresh3
`);
const CORE = splitWords(`
  somaxconn rmem_max rmem_default wmem_max wmem_default optmem_max default_qdisc qdisc_max_burst
  netdev_max_backlog netdev_budget netdev_budget_usecs dev_weight
  flow_limit_cpu_bitmap flow_limit_table_len rps_sock_flow_entries xfrm_larval_drop
`);
const NETFILTER = splitWords(`
  nf_conntrack_max nf_conntrack_buckets nf_conntrack_tcp_be_liberal nf_conntrack_tcp_loose
  nf_conntrack_tcp_timeout_established nf_conntrack_checksum nf_conntrack_log_invalid nf_conntrack_acct
  nf_conntrack_frag6_high_thresh
`);
const BRIDGE = splitWords("bridge-nf-call-iptables bridge-nf-call-ip6tables");

/** Shell words: plain paths, and globs over the devices. */
const SYSCTLS = [
  ...IPV4_DEVICE.map((name) => `ipv4/conf/*/${name}`),
  ...IPV6_DEVICE.map((name) => `ipv6/conf/*/${name}`),
  ...IPV4.map((name) => `ipv4/${name}`),
  ...IPV6.map((name) => `ipv6/${name}`),
  ...CORE.map((name) => `core/${name}`),
  ...NETFILTER.map((name) => `netfilter/${name}`),
  ...BRIDGE.map((name) => `bridge/${name}`),
].map((name) => `/proc/sys/net/${name}`);

/**
 * Reads one namespace, from inside it. Arguments: nonce, whether nf_tables is in the kernel (`yes`/`no`: asking nft
 * would load it), whether all is wanted or only what counts (`full`/`brief`). Everything here only lists. What is dear is asked for only where something cheap says it exists:
 *  - rules of nft only when it has tables, those of iptables-nft only when it has some of their family. They come first:
 *    of 5,000 rules iptables-nft-save tells in 0.15 s what takes nft 1.2 s, as JSON and as text (measured, nft 1.0.6);
 *  - x_tables only when its own list of tables is not empty (reading a table would create it);
 *  - TCP sockets only when sockstat counts some (walking the hash costs 5 ms).
 * Of what decides by itself about packets (rules of the firewall and of routing, routes that refuse) the start is wanted too: it may be gone at the end.
 * The kernel itself picks routes of a type: a million others cost nothing.
 * The order is that of importance: a deadline cuts the end. Routes come last, there may be a million.
 */
export const CONFIGURATION_SCRIPT = `${SHELL_FUNCTIONS}
nft=$2
brief=
[ "$3" = brief ] && { brief=yes; mark brief; end 0; }
has() { command -v "$1" >/dev/null 2>&1; }
save() { mark "$1"; if has "$2"; then "$2" -c; else "$3" -c; fi; end $?; }
inuse() {
  for file in /proc/net/sockstat /proc/net/sockstat6; do
    [ -r "$file" ] || continue
    while read -r group word number rest; do
      case $group in "$1:" | "\${1}6:") [ "$number" = 0 ] || return 0 ;; esac
    done <"$file"
  done
  return 1
}
policy6() {
  [ -e /proc/net/if_inet6 ] || return
  mark 'ip -6 rule'
  ip -6 -j rule show
  end $?
}
if [ "$nft" = yes ]; then
  mark 'nft tables'
  tables=$(nft list tables)
  status=$?
  end $status
  case $status$tables in [!0]* | *'table ip '*)
    save iptables-save iptables-nft-save iptables-save
  esac
  case $status$tables in [!0]* | *'table ip6 '*)
    save ip6tables-save ip6tables-nft-save ip6tables-save
  esac
  mark 'nft -j'
  case $status$tables in
    0) printf '{"nftables": []}\n' ;;
    *) nft -j list ruleset ;;
  esac
  end $?
  case $tables in ?*)
    mark 'nft -a'
    nft -a list ruleset
    end $?
  esac
fi
if [ -r /proc/net/ip_tables_names ] && read -r line </proc/net/ip_tables_names; then
  save iptables-legacy-save iptables-legacy-save iptables-save
fi
if [ -r /proc/net/ip6_tables_names ] && read -r line </proc/net/ip6_tables_names; then
  save ip6tables-legacy-save ip6tables-legacy-save ip6tables-save
fi
mark 'ss tcp'
if inuse TCP; then ss -lntHem; fi
status=$?
end $status
if [ $status = 127 ]; then
  mark 'proc tcp'
  grep -sh ' 0A ' /proc/net/tcp /proc/net/tcp6
  end 0
fi
if [ -z "$brief" ]; then
  mark 'ss udp'
  if inuse UDP; then ss -aunHem; fi
  end $?
fi
mark 'tc qdisc'
tc -j -s -d qdisc show
end $?
if [ -n "$brief" ]; then
  policy6
  mark ip
  ip -j -s -s -d -force -batch - <<COMMANDS
link show
netns list-id
rule show
route show table all type blackhole
route show table all type unreachable
route show table all type prohibit
COMMANDS
  end $?
  exit 0
fi
mark sysctl
grep -saH '' ${SYSCTLS.join(" ")}
end 0
policy6
mark ip
ip -j -s -s -d -force -batch - <<COMMANDS
link show
netns list-id
neigh show
rule show
route show table all
COMMANDS
end $?
`;

/**
 * Runs the script above in one namespace after the other: a process of ours for each would take longer than what it asks. Arguments:
 * the script, nonce, `yes`/`no`, `full`/`brief`, then paths (`-`: our own namespace). Before each a section `netns INDEX`, after it `done`.
 */
export const VISIT_SCRIPT = `script=$1
shift
${SHELL_FUNCTIONS}
nft=$2
extent=$3
shift 3
index=0
for path; do
  mark "netns $index"
  index=$((index + 1))
  if [ "$path" = - ]; then
    /bin/sh -c "$script" sh "$nonce" "$nft" "$extent"
  else
    nsenter --net="$path" -- /bin/sh -c "$script" sh "$nonce" "$nft" "$extent"
  fi
  mark done
done
`;
