const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
const DIGIT_MASK = DIGITS - 1;

/**
 * The order that sorts addresses ascending; equal ones stay in their given order. Keys are integers from 0 to 2^53 - 1.
 *
 * Not a comparator sort: that takes seconds for a browser's symbol table.
 */
export function sortAddresses(keys: Float64Array): Uint32Array {
  return sortPacked(keys) ?? sortByDigits(keys);
}

/**
 * Address and place in one number each, sorted by the typed arrays' own sort: it is native and so fast from the first call on.
 * Null where the range of addresses leaves no room for the place.
 */
function sortPacked(keys: Float64Array): Uint32Array | null {
  const count = keys.length;
  const places = 2 ** Math.ceil(Math.log2(Math.max(count, 1)));
  let least = Infinity;
  let most = 0;
  for (let i = 0; i < count; i++) {
    const key = keys[i]!;
    if (key < least) least = key;
    if (key > most) most = key;
  }
  if (count > 0 && most - least >= 2 ** 53 / places) return null;
  const packed = new Float64Array(count);
  for (let i = 0; i < count; i++) packed[i] = (keys[i]! - least) * places + i;
  packed.sort();
  const order = new Uint32Array(count);
  // Only the place is left of the lower bits: a power of two above 2^32 has no part in them.
  for (let i = 0; i < count; i++) order[i] = (packed[i]! >>> 0) & (places - 1);
  return order;
}

/** A radix sort: addresses made up by an attacker cannot make it slower. */
function sortByDigits(keys: Float64Array): Uint32Array {
  const count = keys.length;
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let next = new Uint32Array(count);
  const counts = new Uint32Array(DIGITS);
  // Five digits of 11 bits cover 53: three from the low word (11, 11, 10 bits), two from the high one.
  for (let pass = 0; pass < 5; pass++) {
    counts.fill(0);
    for (let i = 0; i < count; i++) {
      const digit = takeDigit(keys[i]!, pass);
      counts[digit] = counts[digit]! + 1;
    }
    if (counts.includes(count)) continue;
    let sum = 0;
    for (let digit = 0; digit < DIGITS; digit++) {
      const size = counts[digit]!;
      counts[digit] = sum;
      sum += size;
    }
    for (let i = 0; i < count; i++) {
      const index = order[i]!;
      const digit = takeDigit(keys[index]!, pass);
      const place = counts[digit]!;
      counts[digit] = place + 1;
      next[place] = index;
    }
    [order, next] = [next, order];
  }
  return order;
}

/** The index of the last address ≤ `address` in an ascending array, or -1. */
export function findLast(ascending: Float64Array, address: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function takeDigit(key: number, pass: number): number {
  if (pass < 2) return ((key >>> 0) >>> (pass * DIGIT_BITS)) & DIGIT_MASK;
  if (pass === 2) return (key >>> 0) >>> (2 * DIGIT_BITS);
  return (Math.floor(key / 4294967296) >>> ((pass - 3) * DIGIT_BITS)) & DIGIT_MASK;
}
