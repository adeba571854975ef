import { parseIntegerPart, splitKey } from "../wire/key.ts";

/** The `parts` integers of a map key, each as an unsigned 64-bit word. Null when the text is no such key. */
export function readWords(key: string, parts: number): bigint[] | null {
  const texts = splitKey(key, parts);
  if (texts === null) return null;
  const words: bigint[] = [];
  for (const text of texts) {
    const value = parseIntegerPart(text);
    if (value === null) return null;
    words.push(BigInt.asUintN(64, BigInt(value)));
  }
  return words;
}
