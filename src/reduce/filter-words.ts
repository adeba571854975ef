/** An address block as `--host` gives it: `bytes` in network order, 4 or 16. */
export interface Block {
  readonly family: 4 | 6;
  readonly bytes: readonly number[];
  /** Bits of the address that count. */
  readonly prefix: number;
}

/** Bytes in network order as the word a little-endian machine reads. */
export function littleEndian(bytes: readonly number[]): bigint {
  return bytes.reduceRight((word, byte) => (word << 8n) | BigInt(byte), 0n);
}

/** The two bytes of a port on the wire as a little-endian machine reads them. */
export function portWire(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8);
}

function maskBytes(prefix: number, size: number): number[] {
  return Array.from(
    { length: size },
    (_, index) => (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))) & 0xff,
  );
}

/** Masks and values for two words that hold an address, IPv4 as `::ffff:a.b.c.d`. */
export function mappedWords({ family, bytes, prefix }: Block): Record<string, bigint> {
  const mapped = family === 4 ? [...Array<number>(10).fill(0), 0xff, 0xff, ...bytes] : bytes;
  const mask = maskBytes(family === 4 ? prefix + 96 : prefix, 16);
  return {
    hostMask0: littleEndian(mask.slice(0, 8)),
    hostMask1: littleEndian(mask.slice(8)),
    hostValue0: littleEndian(mapped.slice(0, 8)),
    hostValue1: littleEndian(mapped.slice(8)),
  };
}
