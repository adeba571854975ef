import type { DeviceCounters } from "../types.ts";
import { parseCount, splitLines, splitWords, type Parsed } from "./values.ts";

const HEADER_LINES = 2;

/** `/proc/net/dev`. A name holds neither blanks nor colons (net/core/dev.c: dev_valid_name), but anything else. */
export function parseDev(text: string): Parsed<DeviceCounters[]> {
  const devices: DeviceCounters[] = [];
  let unread = 0;
  for (const line of splitLines(text).slice(HEADER_LINES)) {
    const device = parseLine(line);
    if (device === null) unread += 1;
    else devices.push(device);
  }
  return { value: devices, unread };
}

function parseLine(line: string): DeviceCounters | null {
  const colon = line.lastIndexOf(":");
  if (colon < 1) return null;
  const name = line.slice(0, colon).trim();
  const numbers = splitWords(line.slice(colon + 1)).map(parseCount);
  const [rxBytes, rxPackets, rxErrors, rxDropped, rxFifo, rxFrame, , , ...tx] = numbers;
  const [txBytes, txPackets, txErrors, txDropped, txFifo, txCollisions, txCarrier] = tx;
  if (name === "" || numbers.length < 16 || numbers.includes(null)) return null;
  return {
    name,
    rxBytes: rxBytes ?? 0,
    rxPackets: rxPackets ?? 0,
    rxErrors: rxErrors ?? 0,
    rxDropped: rxDropped ?? 0,
    rxFifo: rxFifo ?? 0,
    rxFrame: rxFrame ?? 0,
    txBytes: txBytes ?? 0,
    txPackets: txPackets ?? 0,
    txErrors: txErrors ?? 0,
    txDropped: txDropped ?? 0,
    txFifo: txFifo ?? 0,
    txCollisions: txCollisions ?? 0,
    txCarrier: txCarrier ?? 0,
  };
}
