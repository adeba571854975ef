import { SHELL_FUNCTIONS } from "./sections.ts";
import { SETTINGS_FUNCTION } from "./settings.ts";

/**
 * Rules of the firewall. What is dear is asked for only where something cheaper says that it exists, and a process costs 2 to 4 ms however
 * little it is asked (measured: most of it is the loading of its libraries):
 *  - few rules (`ask_at_once`): nft's JSON says itself which tables there are. All rules of 50 containers are read so;
 *  - many (`ask_in_order`): of 5,000 rules iptables-nft-save tells in 0.15 s what takes nft 1.2 s, as JSON and as text (nft 1.0.6), and a
 *    deadline cuts the end. So where the rules usually are many (the host), or where a second of CPU time was not enough, the names of the
 *    tables are asked for first;
 *  - iptables-nft only where nft has tables of its family;
 *  - rules as text (`nft -a`) only where there are some that iptables does not own or cannot tell.
 */
const FIREWALL_FUNCTIONS = `
has() { command -v "$1" >/dev/null 2>&1; }
save() {
  mark "$1"
  if has "$2"; then saved=$("$2" -c); else saved=$("$3" -c); fi
  set -- $?
  printf '%s\\n' "$saved"
  end $1
  case $1$saved in [!0]* | *incompatible*) texts=yes ;; esac
}
save_all() {
  [ -z "$ip4" ] || save iptables-save iptables-nft-save iptables-save
  [ -z "$ip6" ] || save ip6tables-save ip6tables-nft-save ip6tables-save
}
tell_texts() {
  [ -n "$texts" ] || return 0
  mark 'nft -a'
  nft -a list ruleset
  end $?
}
note_table() {
  case $1 in ip) ip4=yes ;; ip6) ip6=yes ;; esac
  case $1/$2 in
    ip/filter | ip/nat | ip/mangle | ip/raw | ip/security) ;;
    ip6/filter | ip6/nat | ip6/mangle | ip6/raw | ip6/security) ;;
    *) texts=yes ;;
  esac
}
note_tables() {
  set -f
  old=$IFS
  last=
  IFS='{'
  for piece in $1; do
    if [ "$last" = '"table": ' ]; then
      family=\${piece#*'"family": "'}
      name=\${piece#*'"name": "'}
      note_table "\${family%%'"'*}" "\${name%%'"'*}"
    fi
    last=$piece
  done
  IFS=$old
  set +f
}
ask_at_once() {
  mark 'nft -j'
  ruleset=$(ulimit -t 1; exec nft -j list ruleset) || return
  note_tables "$ruleset"
  case $ip4$ip6$texts$ruleset in '{'*'{"rule"'*) return 1 ;; esac
  printf '%s\\n' "$ruleset"
  end 0
  save_all
  tell_texts
}
ask_in_order() {
  mark 'nft tables'
  tables=$(nft list tables)
  status=$?
  end $status
  if [ $status = 0 ]; then
    while read -r word family name; do [ -z "$name" ] || note_table "$family" "$name"; done <<TABLES
$tables
TABLES
  else
    ip4=yes ip6=yes
  fi
  save_all
  mark 'nft -j'
  case $status$tables in
    0) printf '{"nftables": []}\\n' ;;
    *) nft -j list ruleset ;;
  esac
  end $?
  tell_texts
}
`;

/** Whether there is an IPv6 address that is neither the loopback's nor of a link, or the namespace is a router. */
const IPV6_FUNCTION = `
routes_ipv6() {
  [ -e /proc/net/if_inet6 ] || return
  while read -r address index prefix scope rest; do
    case $scope in 10 | 20) ;; *) return 0 ;; esac
  done </proc/net/if_inet6
  read -r line </proc/sys/net/ipv6/conf/all/forwarding
  [ "$line" != 0 ]
}
`;

/**
 * Reads one namespace, from inside it. Arguments: nonce, whether nf_tables is in the kernel (`yes`/`no`: asking nft
 * would load it), whether all is wanted or only what counts (`full`/`brief`), whose it is (`host`/`other`). Everything here only lists, and only
 * what something cheap says exists:
 *  - rules: see above;
 *  - x_tables only when its own list of tables is not empty (reading a table would create it);
 *  - TCP sockets only when sockstat counts some (walking the hash costs 5 ms);
 *  - IPv6 rules of routing, which want a process of their own, only where IPv6 goes further than the link.
 * Of what decides by itself about packets (rules of the firewall and of routing, routes that refuse) the start is wanted too: it may be gone at the end.
 * The kernel itself picks routes of a type: a million others cost nothing. Numbers of namespaces (\`netns list-id\`) are only for the end:
 * ip opens every file of /run/netns for them.
 * The order is that of importance: a deadline cuts the end. Routes come last, there may be a million.
 */
export const CONFIGURATION_SCRIPT = `${SHELL_FUNCTIONS}${FIREWALL_FUNCTIONS}${SETTINGS_FUNCTION}${IPV6_FUNCTION}
brief=
[ "$3" = brief ] && { brief=yes; mark brief; end 0; }
if [ "$2" = yes ]; then
  ip4= ip6= texts=
  [ "$4" = other ] && ask_at_once || ask_in_order
fi
if [ -r /proc/net/ip_tables_names ] && read -r line </proc/net/ip_tables_names; then
  save iptables-legacy-save iptables-legacy-save iptables-save
fi
if [ -r /proc/net/ip6_tables_names ] && read -r line </proc/net/ip6_tables_names; then
  save ip6tables-legacy-save ip6tables-legacy-save ip6tables-save
fi
tcp= udp=
for file in /proc/net/sockstat /proc/net/sockstat6; do
  [ -r "$file" ] || continue
  while read -r group word number rest; do
    case $group$number in
      TCP:0 | TCP6:0 | UDP:0 | UDP6:0) ;;
      TCP:* | TCP6:*) tcp=yes ;;
      UDP:* | UDP6:*) udp=yes ;;
    esac
  done <"$file"
done
mark 'ss tcp'
status=0
if [ -n "$tcp" ]; then
  ss -lntHem
  status=$?
fi
end $status
if [ $status = 127 ]; then
  mark 'proc tcp'
  grep -sh ' 0A ' /proc/net/tcp /proc/net/tcp6
  end 0
fi
if [ -z "$brief" ]; then
  mark 'ss udp'
  if [ -n "$udp" ]; then ss -aunHem; fi
  end $?
fi
mark 'tc qdisc'
tc -j -s -d qdisc show
end $?
if [ -z "$brief" ]; then
  mark sysctl
  settings
  end 0
fi
if routes_ipv6; then
  mark 'ip -6 rule'
  ip -6 -j rule show
  end $?
fi
mark ip
if [ -n "$brief" ]; then
  routes='route show table all type blackhole
route show table all type unreachable
route show table all type prohibit'
else
  routes='netns list-id
neigh show
route show table all'
fi
ip -j -s -s -d -force -batch - <<COMMANDS
link show
rule show
$routes
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
    /bin/sh -c "$script" sh "$nonce" "$nft" "$extent" host
  else
    nsenter --net="$path" -- /bin/sh -c "$script" sh "$nonce" "$nft" "$extent" other
  fi
  mark done
done
`;
