/** Wire types by field number of pprof's `Profile` message (profile.proto): 0 a number, 2 bytes. Repeated numbers may be packed. */
const WIRE_TYPES: readonly (readonly number[])[] = [
  [],
  [2],
  [2],
  [2],
  [2],
  [2],
  [2],
  [0],
  [0],
  [0],
  [0],
  [2],
  [0],
  [0, 2],
  [0],
  [0],
];
const SAMPLE_TYPE = 1;
/** A message of two numbers: `type` and `unit`, places in the table of strings. */
const MAX_SAMPLE_TYPE = 22;

/**
 * Whether bytes are the begin of an unpacked pprof file: fields of its message and nothing else, what is measured among them. Their
 * order is free, and differs between Go, Node and perf_to_profile.
 */
export function isPprof(head: Uint8Array): boolean {
  let hasSampleType = false;
  for (let place = 0; place < head.length;) {
    const tag = readNumber(head, place);
    if (tag === null) break;
    const field = Math.floor(tag.value / 8);
    const wireType = tag.value % 8;
    if (WIRE_TYPES[field]?.includes(wireType) !== true) return false;
    const value = readNumber(head, tag.next);
    if (value === null) break;
    if (field === SAMPLE_TYPE) {
      const first = head[value.next];
      // An empty message is legal: both places are 0 then.
      if (value.value > MAX_SAMPLE_TYPE || (value.value > 0 && first !== 0x08 && first !== 0x10))
        return false;
      hasSampleType = true;
    }
    place = wireType === 2 ? value.next + value.value : value.next;
  }
  return hasSampleType;
}

/** A varint of up to ten bytes, null if the head ends in it or it does not end. Beyond 2^53 it is only about right. */
function readNumber(bytes: Uint8Array, start: number): { value: number; next: number } | null {
  let value = 0;
  for (let index = 0; index < 10; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: start + index + 1 };
  }
  return null;
}
