import { constants, readlinkSync, type Stats } from "node:fs";
import { open, readdir, readlink, stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";

/** Larger files than this are cut: what this stage reads (`/proc`, runtime state) is far smaller. */
const MAX_BYTES = 8 * 1024 * 1024;

/** The bytes of a file (up to `maxBytes`), or null when it cannot be read. `/proc` files report size 0: read to the end. */
export async function readBytes(path: string, maxBytes = MAX_BYTES): Promise<Buffer | null> {
  try {
    // O_NONBLOCK: a FIFO where a file should be does not hang the tool.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const buffer = Buffer.allocUnsafe(Math.min(65_536, maxBytes));
    const chunks: Buffer[] = [];
    let total = 0;
    while (total < maxBytes) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, maxBytes - total), null);
      if (bytesRead === 0) break;
      chunks.push(Buffer.from(buffer.subarray(0, bytesRead)));
      total += bytesRead;
    }
    return Buffer.concat(chunks);
  } catch {
    return null;
  }
}

/** A file as UTF-8 text (bytes that are none become U+FFFD), or null when it cannot be read. */
export async function readText(path: string, maxBytes = MAX_BYTES): Promise<string | null> {
  const bytes = await readBytes(path, maxBytes);
  return bytes === null ? null : bytes.toString("utf8");
}

/** A file with one number, or null when it cannot be read or holds something else. */
export async function readNumber(path: string): Promise<number | null> {
  const text = (await readText(path))?.trim();
  return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : null;
}

/** A JSON file as a value of unknown shape, or null when it cannot be read or is no JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  if (text === null) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** Names in a folder, or none when it cannot be read. */
export async function listNames(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}

/** Target of a symbolic link, or null. */
export async function readLink(path: string): Promise<string | null> {
  try {
    return await readlink(path);
  } catch {
    return null;
  }
}

// access(2) is not asked below: it judges by the real user id and without the capabilities of one that is not root.

/** Whether there is such a file or folder. */
export async function exists(path: string): Promise<boolean> {
  return (await statOrNull(path)) !== null;
}

/** Whether it is a file that somebody may execute. */
export async function isProgram(path: string): Promise<boolean> {
  const found = await statOrNull(path);
  return found !== null && found.isFile() && (found.mode & 0o111) !== 0;
}

/** Whether the file or folder can be opened for reading. */
export async function canRead(path: string): Promise<boolean> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    await file.close();
    return true;
  } catch {
    return false;
  }
}

async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch {
    return null;
  }
}

/** Links read before other work gets its turn: about a millisecond. */
const LINKS_AT_ONCE = 256;

/**
 * Targets of many links, null where one cannot be read. In `/proc` a link costs 4 µs read directly and 50 µs through the
 * thread pool (measured), and a busy host has tens of thousands.
 */
export async function readLinks(paths: readonly string[]): Promise<(string | null)[]> {
  const targets: (string | null)[] = [];
  for (const path of paths) {
    try {
      targets.push(readlinkSync(path));
    } catch {
      targets.push(null);
    }
    if (targets.length % LINKS_AT_ONCE === 0) await setImmediate();
  }
  return targets;
}

/** Runs `work` for every item, at most `size` at a time, and keeps the order. For thousands of small file reads. */
export async function mapInBatches<T, R>(
  items: readonly T[],
  size: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += size) {
    results.push(...(await Promise.all(items.slice(start, start + size).map(work))));
  }
  return results;
}
