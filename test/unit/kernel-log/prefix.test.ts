import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLineDecoder } from "../../../src/evidence/kernel-log/decode.ts";
import { type KernelLine, secondsOf, zeroCounts } from "../../../src/evidence/kernel-log/line.ts";
import { parseIso, parseSyslogTime } from "../../../src/evidence/kernel-log/time.ts";

const CONTEXT = { reference: new Date("2026-06-30T12:00:00Z"), utcOffsetMinutes: 0 };

function decode(...log: string[]): { lines: KernelLine[]; foreign: number } {
  const counts = zeroCounts();
  const lines: KernelLine[] = [];
  const decoder = createLineDecoder(CONTEXT, counts);
  for (const line of log) decoder.push(line, lines);
  decoder.end(lines);
  return { lines, foreign: counts.foreign };
}

const TEXT = "Out of memory: Killed process 5 (x) total-vm:1kB";
const wall = (iso: string, zoned: boolean): unknown => ({ kind: "wall", iso, zoned });
const boot = (seconds: number): unknown => ({ kind: "monotonic", seconds });

describe("one line of a log", () => {
  it.each([
    ["[   12.345678] ", boot(12.345678), null],
    ["[   12.345678][  T123] ", boot(12.345678), null],
    ["[   12.345678] [   C0] ", boot(12.345678), null],
    ["<3>[   12.345678] ", boot(12.345678), null],
    ["<3>", null, null],
    ["kern  :err   : ", null, null],
    ["[   12.345678] web kernel: ", boot(12.345678), "web"],
    ["[Sun Nov 22 21:40:47 2026] ", wall("2026-11-22T21:40:47.000000Z", false), null],
    ["[日 11月 22 21:40:47 2026] ", wall("2026-11-22T21:40:47.000000Z", false), null],
    ["[So Dez  1 21:40:47 2026] ", wall("2026-12-01T21:40:47.000000Z", false), null],
    ["[ven. févr.  6 21:40:47 2026] ", wall("2026-02-06T21:40:47.000000Z", false), null],
    ["[?? ??? 1 21:40:47 2026] ", null, null],
    ["[2026-09-12T10:14:02.5Z]: ", wall("2026-09-12T10:14:02.500000Z", true), null],
    ["jun 24 18:49:43 web kernel: ", wall("2026-06-24T18:49:43.000000Z", false), "web"],
    ["Mär 24 18:49:43 web kernel: ", wall("2026-03-24T18:49:43.000000Z", false), "web"],
    ["juin 24 18:49:43 web kernel: ", wall("2026-06-24T18:49:43.000000Z", false), "web"],
    [
      "2026-06-24T18:49:43.000Z Jun 24 18:49:43 web kernel: ",
      wall("2026-06-24T18:49:43.000000Z", false),
      "web",
    ],
    ["2026-06-24T18:49:43.5Z stdout F [   12.345678] ", wall("2026-06-24T18:49:43.500000Z", true), null],
    ["1234:[   12.345678] ", boot(12.345678), null],
    ["1234-[   12.345678] ", boot(12.345678), null],
    ["/var/log/kern.log.1:Jun 24 18:49:43 web kernel: ", wall("2026-06-24T18:49:43.000000Z", false), "web"],
    ["kern.log.2.gz:77:2026-06-24T18:49:43Z web kernel: ", wall("2026-06-24T18:49:43.000000Z", true), "web"],
    ["18:49:43 [   12.345678] ", boot(12.345678), null],
    ["10.0.0.1: kern: warning: [2026-06-24T18:49:43.5Z]: ", wall("2026-06-24T18:49:43.500000Z", true), null],
    ["\t[   12.345678] ", boot(12.345678), null],
    ["[2026-09-12 10:14:02 UTC] kernel: ", wall("2026-09-12T10:14:02.000000Z", true), null],
    ["2026-11-22T21:40:47,284558+00:00 ", wall("2026-11-22T21:40:47.284558Z", true), null],
    ["2026-11-22T21:40:47,284558+05:30 ", wall("2026-11-22T16:10:47.284558Z", true), null],
    ["2025-06-24T18:49:43.868335+02:00 web kernel: ", wall("2025-06-24T16:49:43.868335Z", true), "web"],
    ["2025-06-24T18:49:43+0200 web kernel: ", wall("2025-06-24T16:49:43.000000Z", true), "web"],
    ["2025-06-24T18:49:43.1Z web kernel: [  12.345678] ", wall("2025-06-24T18:49:43.100000Z", true), "web"],
    ["2025-06-24 18:49:43 web kernel: ", wall("2025-06-24T18:49:43.000000Z", false), "web"],
    ["Jun 24 18:49:43 web kernel: ", wall("2026-06-24T18:49:43.000000Z", false), "web"],
    ["Jul  1 18:49:43 web kernel: ", wall("2025-07-01T18:49:43.000000Z", false), "web"],
    ["Jun  4 18:49:43.123 web kernel: [ 8341.868335] ", wall("2026-06-04T18:49:43.123000Z", false), "web"],
    ["<4>Jun  4 18:49:43 web kernel: ", wall("2026-06-04T18:49:43.000000Z", false), "web"],
    ["Jun  4 18:49:43 web kern.err kernel: ", wall("2026-06-04T18:49:43.000000Z", false), "web"],
    [
      "Wed Jun  4 18:49:43 2025 kern.err kernel: [   12.345678] ",
      wall("2025-06-04T18:49:43.000000Z", false),
      null,
    ],
    [
      "<3>1 2025-06-24T18:49:43.868335+00:00 web kernel - - - ",
      wall("2025-06-24T18:49:43.868335Z", true),
      "web",
    ],
    [
      '<3>1 2025-06-24T18:49:43Z web kernel - - [meta sequenceId="1"] [   12.345678] ',
      wall("2025-06-24T18:49:43.000000Z", true),
      "web",
    ],
    ["Sat 2025-11-22 21:40:47 UTC web kernel: ", wall("2025-11-22T21:40:47.000000Z", true), "web"],
    ["1763847647.340282 web kernel: ", wall("2025-11-22T21:40:47.340282Z", true), "web"],
    ["6,411,12345678,-;", boot(12.345678), null],
    ["> > [   12.345678] ", boot(12.345678), null],
    ["    [   12.345678] ", boot(12.345678), null],
    ["   Jun  4 18:49:43 web kernel: ", wall("2026-06-04T18:49:43.000000Z", false), "web"],
    ["   kernel: [   12.345678] ", boot(12.345678), null],
    ["kernel: ", null, null],
    ["", null, null],
  ])("%j", (prefix, time, host) => {
    const { lines } = decode(`${prefix}${TEXT}\r`);
    expect(lines.map((line) => [line.text, line.time, line.host])).toEqual([[TEXT, time, host]]);
  });

  it.each([
    `Jun 24 18:49:43 web sshd[77]: ${TEXT}`,
    `Jun 24 18:49:43 web systemd: ${TEXT}`,
    `2025-06-24T18:49:43.868335+02:00 web node-problem-detector[6018]: ${TEXT}`,
    `<30>[   12.345678] ${TEXT}`,
    `daemon:info  : [   12.345678] ${TEXT}`,
    `30,411,12345678,-;${TEXT}`,
    `<30>1 2025-06-24T18:49:43.868335+00:00 web app 77 - - ${TEXT}`,
    `<3>1 2025-06-24T18:49:43.868335+00:00 web app 77 - - ${TEXT}`,
    `{"_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"${TEXT}"}`,
    `{"_TRANSPORT":"kernel","SYSLOG_FACILITY":"3","MESSAGE":"${TEXT}"}`,
    `{"log":"${TEXT}\\n","stream":"stdout"}`,
    `{"message":"${TEXT}","ident":"app"}`,
    `/var/log/messages:Jun 24 18:49:43 web app[1]: ${TEXT}`,
  ])("another program's: %j", (line) => {
    expect(decode(line)).toEqual({ lines: [], foreign: 1 });
  });

  it.each([
    `{"log":"[   12.345678] ${TEXT}\\n","stream":"stdout"}`,
    `{"message":"${TEXT}","ident":"kernel"}`,
    `{"jsonPayload":{"MESSAGE":"${TEXT}","_TRANSPORT":"kernel"}}`,
  ])("a collector's envelope: %s", (line) => {
    expect(decode(line).lines.map((found) => found.text)).toEqual([TEXT]);
  });

  it("takes no quoted line of the kernel in a log that began without quotes", () => {
    const { lines } = decode("[   12.345678] a", `kern.log:[   12.345679] ${TEXT}`);
    expect(lines.at(-1)?.text).toBe(`kern.log:[   12.345679] ${TEXT}`);
  });

  it("keeps what follows another program's line out, too", () => {
    const { lines } = decode(
      "Jun 24 18:49:43 web app[1]: a",
      `    ${TEXT}`,
      TEXT,
      "Jun 24 18:49:43 web kernel: b",
    );
    expect(lines.map((line) => line.text)).toEqual(["b"]);
  });

  it("reads context and second of a syslog line", () => {
    const [line] = decode("Jun  4 18:49:43 web kernel: [ 8341.868335][ T9185] a").lines;
    expect(line).toEqual({
      time: wall("2026-06-04T18:49:43.000000Z", false),
      host: "web",
      monotonic: 8341.868335,
      caller: "T9185",
      text: "a",
    });
  });

  it("undoes rsyslog's octal escapes, and only control characters", () => {
    const [line] = decode("Jun  4 18:49:43 web kernel: a#012b #0123 #066 #1").lines;
    expect(line?.text).toBe("a\nb \n3 #066 #1");
  });

  it("takes a task row for text, not for a timestamp", () => {
    expect(
      decode("[    386]     0   386    79223    16441   184320        0             0 perl").lines[0]?.time,
    ).toBeNull();
  });

  it("counts JSON that is none", () => {
    const counts = zeroCounts();
    const lines: KernelLine[] = [];
    const decoder = createLineDecoder(CONTEXT, counts);
    for (const line of [
      '{"MESSAGE":"a"',
      "{}",
      '{"MESSAGE":null}',
      '{"MESSAGE":[97,10,98]}',
      "{",
      "[   12.345678] after",
    ]) {
      decoder.push(line, lines);
    }
    decoder.end(lines);
    expect(lines.map((line) => line.text)).toEqual(["a\nb", "after"]);
    expect(counts.malformed).toBe(4);
  });
});

function year(month: string, day: string): string | null {
  const time = parseSyslogTime(month, day, "00:00:00", CONTEXT);
  return time?.kind === "wall" ? time.iso.slice(0, 4) : null;
}

describe("times", () => {
  it("counts a missing year back from the reference", () => {
    // A day of slack for clocks and zones; the 29th of February of a common year is the 1st of March.
    expect([
      year("Jan", "1"),
      year("Jun", "30"),
      year("Jul", "1"),
      year("Jul", "2"),
      year("Dec", "31"),
      year("Foo", "1"),
    ]).toEqual(["2026", "2026", "2026", "2025", "2025", null]);
  });

  it("keeps microseconds whatever the date", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4_000_000_000 }),
        fc.integer({ min: 0, max: 999_999 }),
        (second, micro) => {
          const text = `${new Date(second * 1000).toISOString().slice(0, 19)}.${String(micro).padStart(6, "0")}Z`;
          const time = parseIso(text, CONTEXT);
          expect(time).toEqual({ kind: "wall", iso: text, zoned: true });
          expect(time === null ? Number.NaN : secondsOf(time)).toBeCloseTo(second + micro / 1e6, 5);
        },
      ),
    );
  });
});
