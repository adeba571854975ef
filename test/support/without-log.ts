import { gunzipSync, gzipSync } from "node:zlib";

/** The same recording (gzip), had the kernel log not been there: what the events alone tell. */
export function withoutKernelLog(recording: Uint8Array): Buffer {
  const lines = gunzipSync(recording).toString("latin1").split("\n");
  const kept = lines.filter((line) => !/^\["f",[\d.]+,"kernel-log"/.test(line));
  return gzipSync(Buffer.from(kept.join("\n"), "latin1"));
}
