/** Edit distance (Levenshtein), for "did you mean". Plain rows, inputs are short names. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Up to `limit` of the choices that a user who typed `wanted` may have meant, best first. */
export function nearest(wanted: string, choices: Iterable<string>, limit = 3): string[] {
  const low = wanted.toLowerCase();
  const scored: { choice: string; score: number }[] = [];
  for (const choice of choices) {
    const candidate = choice.toLowerCase();
    const score = candidate.includes(low) && low.length > 2 ? 1 : distance(low, candidate);
    if (score <= Math.max(2, Math.ceil(low.length / 3))) scored.push({ choice, score });
  }
  scored.sort((a, b) => a.score - b.score || a.choice.localeCompare(b.choice));
  return scored.slice(0, limit).map((entry) => entry.choice);
}
