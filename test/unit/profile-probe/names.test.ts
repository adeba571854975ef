import { describe, expect, it } from "vitest";
import { LOST_FRAME, SampleBook } from "../../../src/profile/samples/book.ts";
import type { SampleRecord } from "../../../src/profile/samples/record.ts";
import { packFrame, UserFrames } from "../../../src/profile/samples/user-frames.ts";
import type { UserFrame } from "../../../src/symbols/frame.ts";

const PROGRAM = { pid: 42, epoch: 0, comm: "web, server" };
const symbol = (name: string): UserFrame => ({ name, module: "web", kind: "symbol" });
const UNKNOWN: UserFrame = { name: "[unknown]", module: "[unknown]", kind: "unknown" };
const JIT: UserFrame = { name: "[jit]", module: "[anon]", kind: "unknown" };

/** Answers questions as the provider does, from a table. */
function answer(frames: UserFrames, key: string, table: ReadonlyMap<number, UserFrame>): void {
  const [, , , leafs = "-", callers = "-"] = key.split(" ");
  const addresses = [leafs, callers].flatMap((list) => (list === "-" ? [] : list.split(",")));
  const value = addresses.map((address) => packFrame(table.get(Number.parseInt(address, 16)) ?? UNKNOWN));
  frames.fact("frames", key, value);
}

describe("UserFrames", () => {
  it("asks at once for a new program, then in batches, never twice", () => {
    const asked: string[] = [];
    const frames = new UserFrames((_, key) => asked.push(key));
    frames.want(PROGRAM, 0x5000, [0x6000, 0x7000], 1);
    expect(asked).toEqual(["42 0 0 5000 6000,7000 web, server"]);
    frames.want(PROGRAM, 0x5001, [0x6000], 1.01);
    frames.want(PROGRAM, 0x5002, [0x6000], 1.02);
    frames.tick(1.03);
    expect(asked).toHaveLength(1);
    frames.tick(1.2);
    expect(asked.slice(1)).toEqual(["42 0 0 5001,5002 - web, server"]);
  });

  it("asks once more at the end for what had no name", () => {
    const asked: string[] = [];
    const frames = new UserFrames((_, key) => asked.push(key));
    frames.want(PROGRAM, 0x5000, [0x6000], 1);
    answer(frames, asked[0] ?? "", new Map([[0x5000, symbol("leaf")]]));
    frames.finish();
    expect(asked.slice(1)).toEqual(["42 0 1 - 6000 web, server"]);
    answer(frames, asked[1] ?? "", new Map([[0x6000, symbol("late")]]));
    expect(frames.name(PROGRAM, 0x5000, [0x6000]).map(({ name }) => name)).toEqual(["leaf", "late"]);
  });

  it("does not ask for what cannot be an address, and leaves out what comes after the last code", () => {
    const asked: string[] = [];
    const frames = new UserFrames((_, key) => asked.push(key));
    const data = 2 ** 62;
    frames.want(PROGRAM, 0x5000, [0x6000, 7, data], 1);
    expect(asked).toEqual(["42 0 0 5000 6000 web, server"]);
    answer(
      frames,
      asked[0] ?? "",
      new Map([
        [0x5000, symbol("leaf")],
        [0x6000, symbol("main")],
      ]),
    );
    expect(frames.name(PROGRAM, 0x5000, [0x6000, 7, data])).toHaveLength(2);
    expect(frames.name(PROGRAM, 0x5000, [7, 0x6000]).map(({ name }) => name)).toEqual([
      "leaf",
      "[unknown]",
      "main",
    ]);
  });

  it("draws neighbours in unnamed code as one", () => {
    const asked: string[] = [];
    const frames = new UserFrames((_, key) => asked.push(key));
    frames.want(PROGRAM, 0x5000, [0x5100, 0x5200, 0x6000], 1);
    const table = new Map([0x5000, 0x5100, 0x5200].map((address) => [address, JIT] as const));
    answer(frames, asked[0] ?? "", new Map([...table, [0x6000, symbol("main")]]));
    expect(frames.name(PROGRAM, 0x5000, [0x5100, 0x5200, 0x6000]).map(({ name }) => name)).toEqual([
      "[jit]",
      "main",
    ]);
  });

  it("takes no answer that is none", () => {
    const frames = new UserFrames(() => {});
    frames.want(PROGRAM, 0x5000, [], 1);
    for (const value of [null, 7, "x", [null, {}, [9, "a", "b"], [0, 1, 2]]])
      expect(frames.fact("frames", "42 0 0 5000 - web, server", value)).toBe(true);
    expect(frames.name(PROGRAM, 0x5000, [])[0]?.kind).toBe("unknown");
  });
});

const sample = (fields: Partial<SampleRecord>): SampleRecord => ({
  nsecs: 1,
  pid: 42,
  tid: 42,
  cpu: 0,
  mode: "user",
  ip: 0x5000,
  kernel: "",
  user: "",
  callers: "abc",
  comm: "web",
  ...fields,
});

describe("SampleBook", () => {
  it("knows the callers of a sample whether they are told before or after", () => {
    const book = new SampleBook(() => {});
    const early = book.add(sample({}), 1);
    expect(book.isCallersLost(early.stack)).toBe(true);
    expect(book.framesOf(early.stack)[0]).toBe(LOST_FRAME);
    book.addCallers({ callers: "abc", group: 0, addresses: [0x6000, 0x7000, 0, 0] }, 1);
    expect(book.isCallersLost(early.stack)).toBe(false);
    const late = book.add(sample({ ip: 0x5008 }), 2);
    expect(late.stack).not.toBe(early.stack);
    book.frames.fact("frames", "42 0 0 5000,5008 6000,7000 web", [
      packFrame(symbol("leaf")),
      packFrame(symbol("leaf")),
      packFrame(symbol("middle")),
      packFrame(symbol("main")),
    ]);
    for (const { stack } of [early, late])
      expect(book.framesOf(stack).map(({ name }) => name)).toEqual(["main", "middle", "leaf"]);
  });

  it("joins pieces in order and leaves out what hangs in the air", () => {
    const book = new SampleBook(() => {});
    const { stack } = book.add(sample({}), 1);
    const addresses = (start: number) => Array.from({ length: 16 }, (_, n) => start + n);
    book.addCallers({ callers: "abc", group: 0, addresses: addresses(0x6000) }, 1);
    book.addCallers({ callers: "abc", group: 2, addresses: addresses(0x8000) }, 1);
    book.frames.fact(
      "frames",
      `42 0 0 5000 ${addresses(0x6000)
        .map((address) => address.toString(16))
        .join(",")} web`,
      Array.from({ length: 17 }, () => packFrame(symbol("f"))),
    );
    expect(book.userFrames(stack)).toHaveLength(17);
  });

  it("tells programs of one process apart, and threads by their names", () => {
    const asked: string[] = [];
    const book = new SampleBook((fact, key) => asked.push(`${fact} ${key}`));
    const shell = book.add(sample({ comm: "sh" }), 1).entry.program;
    const tool = book.add(sample({ comm: "ls" }), 2).entry.program;
    const thread = book.add(sample({ comm: "worker", tid: 43 }), 3);
    expect(tool.epoch).toBe(shell.epoch + 1);
    expect(thread.thread.program).toBe(tool);
    expect(book.commOf(tool)).toBe("ls");
    expect(asked.filter((text) => text.startsWith("process"))).toEqual(["process 42 0", "process 42 1"]);
    book.fact("process", "42 1", { comm: "ls", exe: "coreutils", kernelThread: false });
    expect(book.labelOf(tool)).toBe("ls (coreutils)");
    expect(book.labelOf(shell)).toBe("sh");
  });

  it("puts the kernel's part on the user's", () => {
    const book = new SampleBook(() => {});
    const { stack, entry } = book.add(
      sample({
        mode: "kernel",
        callers: null,
        kernel: "\n        vfs_read+12\n        do_syscall_64+0x3f\n",
        user: "\n        0x5000\n        0x6000\n",
      }),
      1,
    );
    book.frames.fact("frames", "42 0 0 5000 6000 web", [
      packFrame(symbol("read")),
      packFrame(symbol("main")),
    ]);
    expect(entry.isKernelMode).toBe(true);
    expect(book.framesOf(stack)).toEqual([
      { name: "main", file: "web" },
      { name: "read", file: "web" },
      { name: "do_syscall_64", file: "[kernel]" },
      { name: "vfs_read", file: "[kernel]" },
    ]);
    expect(book.leafOf(stack).name).toBe("vfs_read");
  });

  it("says which kernel stacks did not come, and takes an unknown mode by its frames", () => {
    const book = new SampleBook(() => {});
    const lost = book.add(sample({ mode: "kernel", callers: null }), 1);
    expect(lost.entry.isKernelLost).toBe(true);
    expect(book.framesOf(lost.stack).at(-1)?.name).toBe("[kernel stack lost]");
    const user = book.add(sample({ mode: "unknown", callers: null, user: "\n 0x5000\n" }), 1);
    expect(user.entry).toMatchObject({ isKernelMode: false, isKernelLost: false });
  });
});
