import { SLACK } from "./byte-interner.ts";
import type { Block } from "./report.ts";
import type { ByteSource } from "./source.ts";

const BLOCK_BYTES = 1 << 20;
/** Longest unfinished line for which no new memory is needed. */
const ROOM = 1 << 16;
const NEWLINE = 10;
/** A longer line is no profile: it is handed on in pieces, which the reader counts as damaged. */
const MAX_LINE_BYTES = 64 << 20;

/** Editors put it in front of UTF-8 text; no format that is read here begins with it. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** What takes the blocks. */
export interface BlockUser {
  /** Whether a block must end where a line ends (the last one may not). */
  readonly lines: boolean;
  push(block: Block): void;
}

/**
 * Reads a source block by block, the next one while the current one is being used. `begin` sees the first megabyte
 * and says who takes the blocks, that one included; it is not called for an empty source. Blocks must not be kept;
 * `pieceBytes` limits them further, for tests.
 */
export async function forEachBlock(
  source: ByteSource,
  begin: (head: Block) => BlockUser,
  pieceBytes = BLOCK_BYTES,
): Promise<void> {
  // Room in front of the new bytes takes the unfinished line of the block before.
  let current = allocate(ROOM);
  let start = current.room;
  let end = start + (await source.read(current.bytes, start, BLOCK_BYTES));
  // A source that gives less than asked for is at its end.
  const isWhole = end - start < BLOCK_BYTES;
  if (current.bytes.subarray(start, end).indexOf(BYTE_ORDER_MARK) === 0) start += BYTE_ORDER_MARK.length;
  if (end === start) return;
  const user = begin(toBlock(current, start, end));
  let spare = isWhole ? current : allocate(ROOM);
  for (;;) {
    const pending =
      spare === current ? Promise.resolve(0) : source.read(spare.bytes, spare.room, BLOCK_BYTES);
    let used = start;
    try {
      used = pushPieces(user, current, start, end, pieceBytes);
    } catch (error) {
      // The read goes on in the background: its outcome no longer matters.
      await pending.catch(() => {});
      throw error;
    }
    const size = await pending;
    const left = end - used;
    if (size === 0) {
      if (left > 0) user.push(toBlock(current, used, end));
      return;
    }
    const next = left <= spare.room ? spare : widen(spare, left * 2, size);
    current.bytes.copy(next.bytes, next.room - left, used, end);
    spare = current;
    current = next;
    start = next.room - left;
    end = next.room + size;
  }
}

/** Pushes what can be pushed of `start` … `end`; returns where the unfinished line begins. */
function pushPieces(user: BlockUser, space: Space, start: number, end: number, pieceBytes: number): number {
  const byLine = user.lines && end - start < MAX_LINE_BYTES;
  let used = start;
  for (let piece = Math.min(end, start + pieceBytes); used < end; piece = Math.min(end, piece + pieceBytes)) {
    const cut = byLine ? findLineEnd(space.bytes, used, piece) : piece;
    if (cut > used) user.push(toBlock(space, used, cut));
    used = cut;
    if (piece === end) break;
  }
  return used;
}

interface Space {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where newly read bytes begin. */
  readonly room: number;
}

function allocate(room: number): Space {
  const bytes = Buffer.allocUnsafeSlow(room + BLOCK_BYTES + SLACK);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), room };
}

function widen(space: Space, room: number, size: number): Space {
  const wider = allocate(room);
  space.bytes.copy(wider.bytes, room, space.room, space.room + size);
  return wider;
}

function toBlock({ bytes, view }: Space, start: number, end: number): Block {
  return { bytes, view, start, end };
}

/** Just behind the last newline, or `start` if there is none. */
function findLineEnd(bytes: Buffer, start: number, end: number): number {
  const place = bytes.lastIndexOf(NEWLINE, end - 1);
  return place < start ? start : place + 1;
}
