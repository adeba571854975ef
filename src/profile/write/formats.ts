export const OUTPUT_FORMATS = ["speedscope", "folded", "pprof", "svg", "html"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** What an output's name asks for; null where it says nothing. */
export function guessFormat(path: string): OutputFormat | null {
  if (/\.(?:folded|collapsed|txt)$/i.test(path)) return "folded";
  if (/\.(?:pb\.gz|pb|pprof)$/i.test(path)) return "pprof";
  if (/\.svg$/i.test(path)) return "svg";
  if (/\.html?$/i.test(path)) return "html";
  if (/\.json$/i.test(path)) return "speedscope";
  return null;
}
