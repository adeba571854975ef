/** What stands behind `]: ` of a map entry. */
export type MapValue = number | "histogram" | "other";

/** Sums of `stats()` are what adds up over its entries; a histogram and a string cannot be drawn as a width. */
export function parseMapValue(text: string): MapValue {
  const value = text.trim();
  if (value === "") return "histogram";
  if (/^-?\d+$/.test(value)) return Number(value);
  const stats = /^\{? ?\.?count =? ?\d+, \.?average =? ?-?\d+, \.?total =? ?(-?\d+) ?\}?$/.exec(value);
  return stats === null ? "other" : Number(stats[1]);
}
