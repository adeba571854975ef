import { parseIntegerPart } from "../../src/wire/key.ts";
import { unpackFlow, type FlowKey } from "../../src/reduce/packet-flow.ts";
import { cleanSymbol } from "../../src/reduce/stacks.ts";
import { causeOf, formatFlow, type FlowRow } from "./rows.ts";

/** One drop, as an `E4` or `E6` record of drops.bt tells it. */
export interface DropEvent {
  /** Kernel clock, seconds since boot. */
  readonly seconds: number;
  readonly key: FlowKey;
  /** Bytes from the network header on. */
  readonly length: number;
  readonly tcpFlags: string | null;
  /** Whoever was on the CPU: for packets that came in, often an unrelated task. */
  readonly pid: number;
  readonly comm: string;
  readonly dev: string | null;
  readonly symbol: string | null;
}

const NUMBERS = { E4: 10, E6: 13 } as const;
const TCP = 6;
const FLAG_NAMES = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/** Reads an event record; null when the text is none. The name comes last and may hold anything, tabs included. */
export function parseEvent(text: string): DropEvent | null {
  const tag = text.startsWith("E4\t") ? "E4" : text.startsWith("E6\t") ? "E6" : null;
  if (tag === null) return null;
  const parts = text.split("\t");
  const numbers = parts.slice(1, NUMBERS[tag] + 1).map((part) => parseIntegerPart(part));
  if (numbers.length < NUMBERS[tag] || numbers.includes(null)) return null;
  const words = numbers.map((value) => BigInt.asUintN(64, BigInt(value ?? 0)));
  const [
    nanoseconds = 0n,
    what = 0n,
    location = 0n,
    ifindex = 0n,
    netns = 0n,
    ports = 0n,
    length = 0n,
    pid = 0n,
    flags = 0n,
    ...addresses
  ] = words;
  const key = unpackFlow(
    what,
    (location & 0xffff_ffffn) | (ifindex << 32n),
    netns | (ports << 32n),
    addresses,
  );
  const [dev = "", symbol = "", ...comm] = parts.slice(NUMBERS[tag] + 1);
  return {
    seconds: Number(nanoseconds / 1000n) / 1e6,
    key,
    length: Number(length),
    tcpFlags:
      key.l4 === TCP ? FLAG_NAMES.filter((_, bit) => ((flags >> BigInt(bit)) & 1n) === 1n).join(",") : null,
    pid: Number(pid),
    comm: comm.join("\t"),
    dev: dev === "" || ifindex === 0n ? null : dev,
    symbol: cleanSymbol(symbol),
  };
}

/** One line for people: `NETFILTER_DROP INPUT nft_do_chain  10.0.0.9:40000 → 10.0.0.2:80 tcp SYN  60 B  web eth0`. */
export function formatEvent(event: DropEvent, row: Omit<FlowRow, "count" | "bytes">): string {
  const where = [row.hook, row.location].filter((part) => part !== null).join(" ");
  const place = [row.netns?.name ?? null, row.dev].filter((part) => part !== null).join(" ");
  const flags = event.tcpFlags === null || event.tcpFlags === "" ? "" : ` ${event.tcpFlags}`;
  return [causeOf(row), where, `${formatFlow({ ...row, flows: 1 })}${flags}`, `${event.length} B`, place]
    .filter((part) => part !== "")
    .join("  ");
}
