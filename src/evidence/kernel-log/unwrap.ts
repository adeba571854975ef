/** Where the log proper begins: a stamp in brackets, a priority, an ISO time, a syslog time, or the kernel's tag. */
const STAMP = String.raw`(?=\[ *[\d\p{L}+<]|<\d{1,3}>|\d{4}-\d\d-\d\d[T ]|\p{L}{3,5}\.? +\d{1,2} \d\d:\d\d:\d\d|kernel: )`;

const WRAPPERS: readonly RegExp[] = [
  // `grep -n`, also the lines around a match (`-C`).
  new RegExp(`^\\d{1,9}[:-]${STAMP}`, "u"),
  // `grep` over several files, `zgrep`, with or without `-n`.
  new RegExp(`^[\\w./@+~-]{1,255}?[:-](?:\\d{1,9}[:-])?${STAMP}`, "u"),
  // Serial console servers write the time of day before the console's line.
  /^\d\d:\d\d:\d\d(?:[.,]\d+)? (?=\[ *\d+\.\d{6}\])/,
  // `talosctl dmesg`: node, facility, level, time.
  /^[\w.:-]{1,255}: kern: +\w+: (?=\[\d{4}-)/,
];

/** The line without what a tool has put before it, or null where nothing of the kind stands there. */
export function unwrapLine(line: string): string | null {
  for (const wrapper of WRAPPERS) {
    const match = wrapper.exec(line);
    if (match !== null) return line.slice(match[0].length);
  }
  return null;
}
