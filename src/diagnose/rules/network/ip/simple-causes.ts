import { makeRule, type SimpleCause } from "../support/simple-cause.ts";

const CAPTURE = "{ns}tcpdump -envc 20 -i {dev}";
const LINK = "{ns}ip -s -s link";

/** Causes at the IP layer that their reason tells. */
const IP_CAUSES: readonly SimpleCause[] = [
  {
    id: "ip-checksum",
    reasons: ["IP_CSUM"],
    counters: ["IpExtInCsumErrors", "IpInHdrErrors"],
    // A cosmic ray or an old cable gives one now and then.
    least: 3,
    severity: "problem",
    below: "suspicious",
    because: "the checksum of their IP header is wrong",
    explains:
      "damaged on the way (cable, port, memory of a device on the path), or built wrongly by what rewrote the header; the sender's MAC address tells whose",
    check: [`${CAPTURE} ip`, "{ns}nstat -az IpExtInCsumErrors IpInHdrErrors", LINK],
    fix: [
      "# replace the cable or port the MAC address points at; to test the card here: {ns}ethtool -K {dev} rx off",
    ],
  },
  {
    id: "ip-header-invalid",
    reasons: ["IP_INHDR"],
    only: /^(?:ip_rcv(?:_core)?|ip_rcv_options|ip6_rcv_core|ipv6_rcv|ip_forward_options|ip6_parse_tlv|ipv6_\w+|ip_options_\w+|br_\w+)$/,
    counters: ["IpInHdrErrors", "Ip6InHdrErrors"],
    least: 3,
    severity: "suspicious",
    because: "their IP header is invalid",
    explains:
      "wrong version, impossible length or options: something sends other data as IP, or sends it damaged; its MAC address tells who",
    check: [CAPTURE, "{ns}nstat -az IpInHdrErrors Ip6InHdrErrors"],
    fix: ["# correct or disconnect what sends these frames (its MAC address is in the capture)"],
  },
  {
    // ip_rcv_options() in net/ipv4/ip_input.c (inlined): measured on 6.18.
    id: "ip-options",
    reasons: [],
    sites: /^ip_rcv_(?:finish_core|options)$/,
    since: "IP_LOCAL_SOURCE",
    counters: ["IpInHdrErrors"],
    least: 3,
    severity: "suspicious",
    because: "they carry IP options that this host does not take",
    explains:
      "source routing, which accept_source_route forbids, or broken options; the kernel gives no reason for these, and all else that ends at this place has one",
    check: [
      "{ns}sysctl net.ipv4.conf.all.accept_source_route net.ipv4.conf.{dev}.accept_source_route",
      `${CAPTURE} 'ip[0] & 15 > 5'`,
    ],
    fix: [
      "# source routing is forbidden for good reason: find what sends it. Where it is wanted: {ns}sysctl -w net.ipv4.conf.all.accept_source_route=1 net.ipv4.conf.{dev}.accept_source_route=1",
    ],
  },
  {
    id: "packet-truncated",
    reasons: ["PKT_TOO_SMALL", "HDR_TRUNC"],
    only: /^(?:ip_rcv(?:_core)?|ip6_rcv_core|ipv6_rcv|arp_rcv|arp_process|eth_type_trans|tun_get_user|icmpv?6?_rcv|__netif_receive_skb\w*|br_\w+)$/,
    counters: ["IpExtInTruncatedPkts", "Ip6InTruncatedPkts"],
    least: 3,
    severity: "suspicious",
    because: "they are shorter than their headers say",
    explains: "cut off on the way (a device with a smaller buffer or MTU) or built wrongly",
    check: [CAPTURE, "{ns}nstat -az IpExtInTruncatedPkts Ip6InTruncatedPkts", LINK],
    fix: ["# find the sender by its MAC address in the capture, and compare what it sends with what arrives"],
  },
  {
    id: "unicast-in-multicast-frame",
    reasons: ["UNICAST_IN_L2_MULTICAST"],
    counters: [],
    least: 10,
    severity: "suspicious",
    because:
      "they are for this host's IP address, but came in a broadcast or multicast frame, and drop_unicast_in_l2_multicast is on",
    explains:
      "clusters that share a multicast MAC address (NLB), wireless networks with client isolation, or an attack",
    check: ["{ns}sysctl -a -r drop_unicast_in_l2_multicast"],
    fix: ["{ns}sysctl -w net.ipv4.conf.all.drop_unicast_in_l2_multicast=0"],
  },
  {
    id: "icmp-refused",
    reasons: ["INVALID_PROTO"],
    counters: [],
    least: 20,
    severity: "info",
    because: "an ICMP request to everybody, or of a kind that is not answered",
    explains: "pings to a broadcast address are ignored by default (icmp_echo_ignore_broadcasts)",
    check: ["{ns}sysctl net.ipv4.icmp_echo_ignore_broadcasts"],
    fix: [],
  },
  {
    id: "ipv6-neighbour-discovery",
    reasons: ["IPV6_NDISC_BAD_CODE", "IPV6_NDISC_BAD_OPTIONS", "IPV6_NDISC_FRAG", "IPV6_NDISC_HOP_LIMIT"],
    counters: ["Icmp6InErrors"],
    least: 3,
    severity: "suspicious",
    because:
      "they are IPv6 neighbour discovery messages that break the rules (hop limit not 255, fragments, bad options)",
    explains:
      "they come from outside the link, from a broken device, or from somebody who tries to take over addresses",
    check: [`${CAPTURE} icmp6`, "{ns}ip -6 neigh"],
    fix: ["# find the sender by its MAC address in the capture"],
  },
  {
    id: "ipv6-extension-header",
    reasons: ["IPV6_BAD_EXTHDR", "IPV6_TOO_MANY_EXTHDRS"],
    counters: ["Ip6InHdrErrors"],
    least: 3,
    severity: "suspicious",
    because: "their IPv6 extension headers cannot be read or are too many",
    explains: "a broken or hostile sender: nobody needs many of them",
    check: [`${CAPTURE} ip6`],
    fix: ["# block the sender: {ns}ip6tables -A INPUT -s {source} -j DROP"],
  },
  {
    id: "vxlan-unknown-network",
    reasons: ["VXLAN_VNI_NOT_FOUND", "TUNNEL_NOT_FOUND"],
    counters: [],
    least: 3,
    severity: "problem",
    below: "suspicious",
    because: "they come in a tunnel whose network id (VNI) no device here has",
    explains: "both ends of a tunnel need the same id; or the device for it is missing here",
    check: [
      "{ns}ip -d link show type vxlan",
      "{ns}ip -d link show type geneve",
      "{ns}tcpdump -nvc 5 -i {dev} host {source} and udp",
    ],
    fix: [
      "# make the device with the id that the capture shows: {ns}ip link add vxlan1 type vxlan id VNI remote {source} dstport 4789",
    ],
  },
  {
    id: "vxlan-header",
    reasons: ["VXLAN_INVALID_HDR", "TUNNEL_INVALID_HDR", "IP_TUNNEL_ECN"],
    counters: [],
    least: 3,
    severity: "suspicious",
    because: "their tunnel header does not fit (flags or congestion marks that the device does not take)",
    explains: "both ends use different extensions (GBP, GPE), or another program uses the tunnel's port",
    check: ["{ns}ip -d link show type vxlan", "{ns}ss -lunp"],
    fix: ["# set the same tunnel options on both ends"],
  },
];

export const simpleIpCauses = makeRule("ip-cause", IP_CAUSES);
