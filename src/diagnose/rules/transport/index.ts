import type { Rule } from "../../rule.ts";
import { acceptQueue } from "./accept-queue.ts";
import { captureBuffer } from "./capture-buffer.ts";
import { checksum } from "./checksum.ts";
import { closedPort } from "./closed-port.ts";
import { datagramBuffer } from "./datagram-buffer.ts";
import { duplicates } from "./duplicates.ts";
import { orphans } from "./orphans.ts";
import { protocolMemory } from "./protocol-memory.ts";
import { rawBuffer } from "./raw-buffer.ts";
import { segments } from "./segments.ts";
import { stalledReader } from "./stalled-reader.ts";
import { synQueue } from "./syn-queue.ts";
import { tcpReceive } from "./tcp-receive.ts";
import { timeWait } from "./time-wait.ts";

/** Sockets and TCP. The first claim what has counters of its own; what is left of a shared call site is for the last. */
export const TRANSPORT_RULES: readonly Rule[] = [
  datagramBuffer,
  captureBuffer,
  rawBuffer,
  // Before protocolMemory: they share a counter.
  orphans,
  protocolMemory,
  checksum,
  // Before closedPort: on kernels without reasons the same function refuses both, and this one has a counter of its own.
  acceptQueue,
  synQueue,
  closedPort,
  tcpReceive,
  stalledReader,
  duplicates,
  segments,
  timeWait,
];
