import { readFileSync } from "node:fs";
import { readBytes } from "./read.ts";

/** Names for the values of one C enum. Values above 2^53 are left out. */
export type EnumTable = ReadonlyMap<number, string>;

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;
const TYPE_BYTES = 12;
const KIND_ENUM = 6;
const KIND_ENUM64 = 19;

/** Bytes that follow a type's 12: a fixed part and one per member (linux kernel, Documentation/bpf/btf.rst). */
const TRAILERS: readonly (readonly [fixed: number, member: number])[] = [
  [0, 0], // void
  [4, 0], // int
  [0, 0], // pointer
  [12, 0], // array
  [0, 12], // struct
  [0, 12], // union
  [0, 8], // enum
  [0, 0], // forward
  [0, 0], // typedef
  [0, 0], // volatile
  [0, 0], // const
  [0, 0], // restrict
  [0, 0], // function
  [0, 8], // function prototype
  [4, 0], // variable
  [0, 12], // section
  [0, 0], // float
  [4, 0], // declaration tag
  [0, 0], // type tag
  [0, 12], // enum64
];

/**
 * Reads the enums whose name `isWanted` from BTF files: `vmlinux` first, then modules, whose names continue its string
 * table. A file that cannot be read or understood gives nothing.
 * @param folder the host's BTF folder, `/sys/kernel/btf`
 * @param files names in it; `vmlinux` is always read, at least its header
 */
export async function readBtfEnums(
  folder: string,
  files: readonly string[],
  isWanted: (name: string) => boolean,
): Promise<Map<string, EnumTable>> {
  const enums = new Map<string, EnumTable>();
  const isBaseWanted = files.includes("vmlinux");
  const basePath = `${folder}/vmlinux`;
  const base = isBaseWanted ? readWhole(basePath) : await readBytes(basePath, HEADER_BYTES);
  const strings = base === null ? null : readHeader(base)?.stringsLength;
  if (base === null || strings === undefined || strings === null) return enums;
  if (isBaseWanted) collectEnums(base, 0, isWanted, enums);
  for (const file of files) {
    if (file === "vmlinux") continue;
    const bytes = readWhole(`${folder}/${file}`);
    if (bytes !== null) collectEnums(bytes, strings, isWanted, enums);
  }
  return enums;
}

/** sysfs hands out a page a read: 5 MB take 6 ms this way, 200 ms through the thread pool (measured). */
function readWhole(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}

interface Header {
  readonly littleEndian: boolean;
  readonly types: number;
  readonly typesEnd: number;
  readonly strings: number;
  readonly stringsLength: number;
}

function readHeader(bytes: Buffer): Header | null {
  if (bytes.length < HEADER_BYTES) return null;
  const littleEndian = bytes.readUInt16LE(0) === MAGIC;
  if (!littleEndian && bytes.readUInt16BE(0) !== MAGIC) return null;
  const word = (at: number): number => (littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const start = word(4);
  return {
    littleEndian,
    types: start + word(8),
    typesEnd: start + word(8) + word(12),
    strings: start + word(16),
    stringsLength: word(20),
  };
}

/**
 * Adds the wanted enums of one BTF blob to `into`. `stringBase` is the length of the base's string table: a module's
 * name offsets below it point there and are of no interest here.
 */
export function collectEnums(
  bytes: Buffer,
  stringBase: number,
  isWanted: (name: string) => boolean,
  into: Map<string, EnumTable>,
): void {
  const header = readHeader(bytes);
  if (header === null) return;
  const word = (at: number): number =>
    header.littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  const name = (offset: number): string => {
    const start = header.strings + offset - stringBase;
    const end = bytes.indexOf(0, start);
    return offset < stringBase || end === -1 ? "" : bytes.toString("utf8", start, end);
  };

  const end = Math.min(header.typesEnd, bytes.length);
  let at = header.types;
  while (at + TYPE_BYTES <= end) {
    const info = word(at + 4);
    const kind = (info >>> 24) & 0x7f;
    const members = info & 0xff_ffff;
    const trailer = TRAILERS[kind];
    if (trailer === undefined) return; // a kind this reader does not know: its length cannot be known either
    const next = at + TYPE_BYTES + trailer[0] + trailer[1] * members;
    if (next > end) return;
    if ((kind === KIND_ENUM || kind === KIND_ENUM64) && isWanted(name(word(at)))) {
      const isSigned = info >>> 31 === 1;
      const table = new Map<number, string>();
      for (let member = at + TYPE_BYTES; member < next; member += trailer[1]) {
        const low = word(member + 4);
        const high = kind === KIND_ENUM64 ? word(member + 8) : isSigned && low >= 2 ** 31 ? 0xffff_ffff : 0;
        const value = (isSigned ? high | 0 : high) * 2 ** 32 + low;
        if (Number.isSafeInteger(value) && !table.has(value)) table.set(value, name(word(member)));
      }
      into.set(name(word(at)), table);
    }
    at = next;
  }
}
