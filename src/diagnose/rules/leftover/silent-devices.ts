import { describeCounter } from "../../../catalogue/load.ts";
import { hasMoved, type Change } from "../../../evidence/change.ts";
import { findPeer } from "../../../evidence/net/peer.ts";
import type { InterfaceDelta, NetDelta } from "../../../evidence/net/types.ts";
import { formatCount } from "../../../text/format.ts";
import { isMany } from "../../amounts.ts";
import { classifyDriverLoss, findRing, mendDriverLoss, tellRing } from "../../driver-loss.ts";
import type { Facts } from "../../facts.ts";
import type { Finding, Severity } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { fillTemplates } from "../../templates.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";

/** A cable that is plugged in or a link that comes up costs a few frames. */
const MANY = 10;
const FEW = 3;
/** Events may be this much fewer than the counter says: both ends of the run are read a little apart. */
const UNEXPLAINED_SHARE = 0.2;

/** What a device counts as lost although no drop event tells of it: the packet never became one (ring, wire, driver), and no other rule spoke of it. */
export const silentDevices: Rule = {
  id: "silent-device",
  examine: (facts, ledger) =>
    facts.isFiltered
      ? []
      : facts.networks.flatMap((network) =>
          network.interfaces.flatMap((device) => examineDevice(facts, ledger, network, device)),
        ),
};

interface Loss {
  /** As in the catalogue and the ledger: `link.rx_dropped`. */
  readonly name: string;
  readonly delta: number;
  readonly shown: string;
}

/** The columns of the row, and what `ip -s -s link` and `ethtool -S` say more exactly; a column that a detail explains is left out. */
function listLosses(device: InterfaceDelta): Loss[] {
  const details = Object.entries(device.details).flatMap(([key, change]) =>
    loss(`link.${key.replace(".", "_")}`, change, key),
  );
  const exact = (start: string) =>
    details
      .filter(({ name }) => name.startsWith(start) && isLoss(name))
      .reduce((sum, { delta }) => sum + delta, 0);
  const columns = [
    ...loss("link.rx_dropped", device.rxDropped, "RX dropped"),
    ...loss("link.rx_errors", device.rxErrors, "RX errors"),
    ...loss("link.rx_fifo_errors", device.rxOverruns, "RX overruns"),
    ...loss("link.tx_dropped", device.txDropped, "TX dropped"),
    ...loss("link.tx_errors", device.txErrors, "TX errors"),
    ...loss("link.tx_fifo_errors", device.txOverruns, "TX overruns"),
  ];
  const named = new Set(details.map(({ name }) => name));
  return [
    ...details.filter(({ name }) => isLoss(name)),
    ...columns.filter(
      ({ name, delta }) => !named.has(name) && delta > exact(name.slice(0, "link.rx_".length)),
    ),
  ];
}

function loss(name: string, change: Change, shown: string): Loss[] {
  return hasMoved(change) ? [{ name, delta: change.delta ?? 0, shown }] : [];
}

const isLoss = (name: string) => (describeCounter(name)?.severity ?? "info") !== "info";

function examineDevice(facts: Facts, ledger: Ledger, network: NetDelta, device: InterfaceDelta): Finding[] {
  const inode = network.netns.inode;
  const losses = listLosses(device).filter(({ name }) => !isTold(ledger, inode, name, device.name));
  const driver = Object.entries(device.driver).flatMap(([key, change]) =>
    hasMoved(change) ? [`${key} +${formatCount(change.delta ?? 0)}`] : [],
  );
  const found = losses.flatMap((item) => {
    const events = countEvents(facts, network, device, describeCounter(item.name)?.explainedBy ?? []);
    const rest = item.delta - events;
    if (events > 0 && rest <= UNEXPLAINED_SHARE * item.delta) return [];
    const severity = grade(facts, item.name, rest);
    return severity === null ? [] : [tellLoss(facts, network, device, item, severity, driver)];
  });
  const isSpoken = ["link.rx_dropped", "link.tx_dropped", "link.errors"].some((name) =>
    ledger.isAccounted(inode, `${name}:${device.name}`),
  );
  if (found.length > 0 || driver.length === 0 || isSpoken) return found;
  const most = Math.max(...Object.values(device.driver).map(({ delta }) => delta ?? 0));
  return isMany(most, facts.seconds, MANY) ? [tellDriver(facts, network, device, driver, most)] : [];
}

/** Whether a rule has spoken of this counter, or of the column of `netstat -i` it belongs to. */
function isTold(ledger: Ledger, netns: number, name: string, dev: string): boolean {
  const column = /^link\.rx_(?:dropped|missed|fifo|over)/.test(name)
    ? "link.rx_dropped"
    : /^link\.tx_(?:dropped|fifo)/.test(name)
      ? "link.tx_dropped"
      : "link.errors";
  return ledger.isAccounted(netns, `${name}:${dev}`) || ledger.isAccounted(netns, `${column}:${dev}`);
}

/** Drops on this device, or on the other end of its veth: a packet that one end refuses is counted at both. */
function countEvents(
  facts: Facts,
  network: NetDelta,
  device: InterfaceDelta,
  reasons: readonly string[],
): number {
  const link = network.state.configuration?.links?.find(({ name }) => name === device.name);
  const peer =
    link === undefined || link.peerIndex === null
      ? null
      : findPeer(
          facts.networks.map(({ state }) => state),
          network.netns,
          link,
        );
  return facts.drops
    .filter(
      (drop) =>
        (drop.reason === null || reasons.includes(drop.reason)) &&
        ((drop.netns === network.netns.inode && (drop.dev === null || drop.dev === device.name)) ||
          (peer !== null && drop.netns === peer.netns.inode && drop.dev === peer.link.name)),
    )
    .reduce((sum, { count }) => sum + count, 0);
}

function grade(facts: Facts, name: string, count: number): Severity | null {
  const severity = describeCounter(name)?.severity ?? "info";
  const isMuch = isMany(count, facts.seconds, MANY);
  if (severity === "problem") return isMuch ? "problem" : count >= FEW ? "suspicious" : "info";
  return severity === "suspicious" && isMuch ? "suspicious" : null;
}

function tellLoss(
  facts: Facts,
  network: NetDelta,
  device: InterfaceDelta,
  { name, delta, shown }: Loss,
  severity: Severity,
  driver: readonly string[],
): Finding {
  const entry = describeCounter(name);
  const place = findPlace(facts, network.netns.inode);
  const values = { place, dev: device.name, port: null, source: null, destination: null };
  return {
    id: "silent-device",
    severity,
    summary: `${device.name} counts ${shown} +${formatCount(delta)}, and no drop event tells of it: ${entry?.meaning ?? ""}`,
    count: delta,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `${device.name} in ${tellNetns(facts, network.netns.inode)}: ${shown} +${formatCount(delta)} beside ${formatCount(device.rxOk.delta ?? 0)} packets received and ${formatCount(device.txOk.delta ?? 0)} sent`,
      ...(driver.length > 0 ? [`its driver counts ${driver.slice(0, 6).join(", ")}`] : []),
    ],
    check: fillTemplates(entry?.check ?? ["{ns}ip -s -s link show dev {dev}"], values),
    fix: fillTemplates(entry?.fix ?? [], values),
  };
}

function tellDriver(
  facts: Facts,
  network: NetDelta,
  device: InterfaceDelta,
  driver: readonly string[],
  count: number,
): Finding {
  const place = findPlace(facts, network.netns.inode);
  const values = { place, dev: device.name, port: null, source: null, destination: null };
  const ring = findRing(network, device.name);
  const kinds = new Set(
    Object.entries(device.driver).flatMap(([name, change]) =>
      hasMoved(change) ? [classifyDriverLoss(name)] : [],
    ),
  );
  return {
    id: "silent-device-driver",
    severity: "suspicious",
    summary: `The driver of ${device.name} counts losses that no drop event tells of: ${driver.slice(0, 3).join(", ")}`,
    count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `ethtool -S: ${driver.slice(0, 10).join(", ")}, in ${tellNetns(facts, network.netns.inode)}`,
      ...(kinds.has("ring") ? [tellRing(ring)].filter((line) => line !== null) : []),
    ],
    check: fillTemplates(
      ["{ns}ethtool -S {dev}", "{ns}ethtool -g {dev}", "{ns}ip -s -s link show dev {dev}"],
      values,
    ),
    fix: [...kinds].every((kind) => kind === "other")
      ? ["# errors on the wire: cable, transceiver, switch port; else the driver's manual"]
      : [...kinds].flatMap((kind) => mendDriverLoss(kind, device.name, place, ring)),
  };
}
