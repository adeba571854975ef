import type { Rule } from "../../rule.ts";
import { forwardingOff } from "./ip/forwarding.ts";
import { fragments } from "./ip/fragments.ts";
import { hopLimit } from "./ip/hop-limit.ts";
import { ipsec } from "./ip/ipsec.ts";
import { ipv6Disabled } from "./ip/ipv6-disabled.ts";
import { martians } from "./ip/martians.ts";
import { mtuIpv6 } from "./ip/mtu-ipv6.ts";
import { mtuLow } from "./ip/mtu-low.ts";
import { mtuPeer } from "./ip/mtu-peer.ts";
import { multicast } from "./ip/multicast.ts";
import { neighbourTable } from "./ip/neighbour-table.ts";
import { neighbourUnresolved } from "./ip/neighbour.ts";
import { noRoute } from "./ip/no-route.ts";
import { refusedRoute } from "./ip/refused-route.ts";
import { reversePath } from "./ip/reverse-path.ts";
import { simpleIpCauses } from "./ip/simple-causes.ts";
import { tooBig } from "./ip/too-big.ts";
import { unknownProtocol } from "./ip/unknown-protocol.ts";
import { bridgeIsolated } from "./link/bridge-isolated.ts";
import { bridgePort } from "./link/bridge-port.ts";
import { cpuBacklog } from "./link/cpu-backlog.ts";
import { etherType } from "./link/ethertype.ts";
import { interfaceDrops } from "./link/interface-drops.ts";
import { linkDown } from "./link/link-down.ts";
import { otherMac } from "./link/other-mac.ts";
import { qdiscDrop } from "./link/qdisc.ts";
import { ringFull } from "./link/ring-full.ts";
import { simpleLinkCauses } from "./link/simple-causes.ts";
import { trafficControl } from "./link/traffic-control.ts";
import { xdp } from "./link/xdp.ts";

/**
 * What the IP layer and the links drop. The order matters where places are shared: IPsec before blackhole routes (both free in
 * `dst_discard_out`), a link that is down before its queue and before neighbours that cannot be asked over it, an MTU that explains before one that is only small, and what the devices
 * counted without any event last.
 */
export const NETWORK_RULES: readonly Rule[] = [
  ipsec,
  multicast,
  reversePath,
  refusedRoute,
  forwardingOff,
  mtuPeer,
  mtuIpv6,
  tooBig,
  noRoute,
  martians,
  hopLimit,
  fragments,
  neighbourTable,
  linkDown,
  neighbourUnresolved,
  unknownProtocol,
  ipv6Disabled,
  xdp,
  trafficControl,
  bridgePort,
  bridgeIsolated,
  cpuBacklog,
  ringFull,
  qdiscDrop,
  simpleLinkCauses,
  simpleIpCauses,
  etherType,
  otherMac,
  mtuLow,
  interfaceDrops,
];
