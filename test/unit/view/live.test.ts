import { EventEmitter } from "node:events";
import xterm from "@xterm/headless";
import { describe, expect, test } from "vitest";
import type { LiveView } from "../../../src/probe/report.ts";
import { createLiveScreen } from "../../../src/view/live.ts";

const SHELL = "$ trace drops";

/** A terminal with a shell's line on it, as a stream that a program writes to. */
function createTerminal(columns: number, rows: number) {
  const terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true });
  const stream = Object.assign(new EventEmitter(), {
    isTTY: true,
    columns,
    rows,
    write(text: string) {
      terminal.write(text);
      return true;
    },
  });
  stream.write(`${SHELL}\n`);
  const flush = () => new Promise<void>((done) => terminal.write("", done));
  return {
    stream: stream as unknown as NodeJS.WriteStream,
    /** What the terminal shows, without the empty end. */
    async read(): Promise<string> {
      await flush();
      const { active } = terminal.buffer;
      const lines = Array.from(
        { length: terminal.rows },
        (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? "",
      );
      return lines.join("\n").trimEnd();
    },
    async resize(width: number, height: number) {
      await flush();
      terminal.resize(width, height);
      Object.assign(stream, { columns: width, rows: height });
      stream.emit("resize");
    },
  };
}

const STATUS = { command: "drops", host: "web1", elapsed: 4, duration: 30, lost: 0 };

function createView(rows: number, headline = "1,321 dropped (342/s) · NETFILTER_DROP 1,321"): LiveView {
  return {
    headline,
    spark: [10, 20, 30],
    lost: 0,
    table: {
      kind: "table",
      columns: [
        { header: "PACKETS", align: "right" },
        { header: "REASON", shrink: 1 },
        { header: "FLOW", overflow: true },
      ],
      rows: Array.from({ length: rows }, (_, row) => [
        String(1000 - row),
        "NETFILTER_DROP",
        `[2001:db8:1:2:3:4:5:${row}]:59940 → [2001:db8:1:2:3:4:5:7]:9 udp`,
      ]),
    },
  };
}

describe("the live page", () => {
  test("stands on its own screen, is redrawn in place, and gives the terminal back", async () => {
    const terminal = createTerminal(100, 20);
    const screen = createLiveScreen(terminal.stream, true, false);
    for (const elapsed of [4, 5, 6]) screen.draw(createView(3), { ...STATUS, elapsed });
    const lines = (await terminal.read()).split("\n");
    expect(lines).toHaveLength(7);
    expect(lines[0]).toBe("trace drops · web1 · 6.0 s of 30.0 s");
    expect(lines[1]).toMatch(/^1,321 dropped .* {2}\S{3}$/);
    expect(lines[4]).toMatch(/1000 {2}NETFILTER_DROP {2}\[2001/);
    screen.close();
    expect(await terminal.read()).toBe(SHELL);
  });

  test("a terminal that is made smaller and larger has the page drawn anew, without remains", async () => {
    const terminal = createTerminal(100, 20);
    const screen = createLiveScreen(terminal.stream, true, false);
    screen.draw(createView(3), STATUS);
    const before = await terminal.read();
    for (const [width, height] of [
      [34, 12],
      [20, 5],
      [60, 9],
    ] as const) {
      await terminal.resize(width, height);
      const lines = (await terminal.read()).split("\n");
      // No line is wrapped: each is another one of the page, the first on top, with space below it.
      expect(lines[0]).toMatch(/^trace drops · w/);
      expect(lines[1]).toMatch(/^1,321 dropped/);
      expect(lines[2] ?? "").toBe("");
      expect(lines.length).toBeLessThanOrEqual(height - 1);
    }
    await terminal.resize(100, 20);
    expect(await terminal.read()).toBe(before);
    screen.close();
    expect(await terminal.read()).toBe(SHELL);
  });

  test("more rows than the terminal has never scroll it", async () => {
    const terminal = createTerminal(80, 10);
    const screen = createLiveScreen(terminal.stream, false, false);
    for (let round = 0; round < 3; round += 1) screen.draw(createView(40), STATUS);
    const lines = (await terminal.read()).split("\n");
    expect(lines[0]).toBe("trace drops · web1 · 4.0 s of 30.0 s");
    expect(lines).toHaveLength(8);
    screen.close();
  });

  test("lines that stay, as --events has them, stand above the page on the normal screen", async () => {
    const terminal = createTerminal(80, 20);
    const screen = createLiveScreen(terminal.stream, false, true);
    screen.draw(createView(0), STATUS);
    screen.print("first event");
    screen.draw(createView(0), STATUS);
    screen.print("second event");
    screen.draw(createView(0, "2 dropped"), STATUS);
    expect(await terminal.read()).toMatch(
      /^\$ trace drops\nfirst event\nsecond event\ntrace drops · web1 .*\n2 dropped .*$/,
    );
    screen.close();
    expect(await terminal.read()).toBe(`${SHELL}\nfirst event\nsecond event`);
  });

  test("nothing that a packet or a name says moves the terminal", async () => {
    const terminal = createTerminal(80, 20);
    const screen = createLiveScreen(terminal.stream, true, false);
    screen.draw(createView(1, "\u001b[2J\u001b[5;5Hboo\r\n"), STATUS);
    const lines = (await terminal.read()).split("\n");
    expect(lines[0]).toMatch(/^trace drops/);
    expect(lines[1]).toContain("boo");
    expect(lines[3]).toMatch(/PACKETS/);
    screen.close();
  });
});
