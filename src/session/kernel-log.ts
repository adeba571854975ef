import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Fact } from "../probe/define.ts";

export interface LogFollower {
  /** Reads what is there by now and ends. */
  stop(): void;
}

/** Pause between two looks (milliseconds). */
const POLL_MS = 100;
/** Empty looks until the log counts as quiet: a report comes within milliseconds, its reaper's line a little later. */
const QUIET_POLLS = 3;
/** Records taken in one look, so that a flood of them leaves time for the events (3 µs a read). */
const MAX_RECORDS = 4096;
/** Device 1:11 is /dev/kmsg (Documentation/admin-guide/devices.txt); in containers another device often stands in its place. */
const KMSG_DEVICE = (1 << 8) | 11;
/** The kernel's longest record with its dictionary (CONSOLE_EXT_LOG_MAX, 8 KiB) fits. */
const RECORD_BYTES = 16_384;

/**
 * Reads /dev/kmsg from now on, without clearing it: one read() is one record (Documentation/ABI/testing/dev-kmsg). What is there already is
 * told once, as far as it matches `past`. Facts: see `Follow`.
 */
export function followKernelLog(
  past: RegExp | null,
  onFact: (fact: Fact) => void,
  path = "/dev/kmsg",
): LogFollower {
  const tell = (key: string, value: Fact["value"]) => onFact({ fact: "kernel-log", key, value });
  let file: number | null = null;
  let timer: NodeJS.Timeout | null = null;
  let silent = QUIET_POLLS;
  const buffer = Buffer.alloc(RECORD_BYTES);

  function take(limit: number): string[] {
    const records: string[] = [];
    let lost = 0;
    while (file !== null && records.length < limit) {
      try {
        const length = readSync(file, buffer, 0, RECORD_BYTES, null);
        if (length === 0) break;
        records.push(buffer.toString("utf8", 0, length));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // The oldest records were overwritten before they were read; the next read goes on after the gap.
        if (code === "EPIPE" && lost < limit) {
          lost += 1;
          continue;
        }
        if (code !== "EAGAIN") {
          close();
          tell("error", code ?? "it cannot be read");
        }
        break;
      }
    }
    if (lost > 0) tell("lost", lost);
    return records;
  }

  function look(limit: number): void {
    const records = take(limit);
    if (records.length > 0) {
      silent = 0;
      tell("lines", records);
    } else if (silent < QUIET_POLLS) {
      silent += 1;
      if (silent === QUIET_POLLS) tell("quiet", null);
    }
  }

  function close(): void {
    if (timer !== null) clearInterval(timer);
    timer = null;
    if (file !== null) closeSync(file);
    file = null;
  }

  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const info = fstatSync(file);
    if (info.isCharacterDevice() && info.rdev !== KMSG_DEVICE) {
      close();
      tell("error", "another device stands in its place");
      return { stop() {} };
    }
    const before = take(Infinity);
    tell(
      "past",
      before.filter((record) => past?.test(record) === true),
    );
    timer = setInterval(() => look(MAX_RECORDS), POLL_MS);
  } catch (error) {
    tell("error", (error as NodeJS.ErrnoException).code ?? "it cannot be opened");
  }
  return {
    stop() {
      look(Infinity);
      close();
    },
  };
}
