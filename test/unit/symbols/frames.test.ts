import { describe, expect, it } from "vitest";
import { JIT_FRAME, type UserFrame } from "../../../src/symbols/frame.ts";
import {
  createTruncationCounter,
  explainTruncation,
  nameKernelFrame,
  nameUserFrame,
  stripOffset,
} from "../../../src/symbols/frames.ts";

const frame = (name: string): UserFrame => ({ name, module: "app", kind: "symbol" });

describe("names of frames", () => {
  it.each([
    ["tcp_sendmsg+0x3f", "tcp_sendmsg"],
    ["tcp_sendmsg+63", "tcp_sendmsg"],
    ["Vec::operator++12", "Vec::operator+"],
    ["Vec::operator+", "Vec::operator+"],
    ["[libz.so.1]+0x1a2b", "[libz.so.1]+0x1a2b"],
  ])("strips the offset of %s", (name, wanted) => {
    expect(stripOffset(name)).toBe(wanted);
  });

  it("marks kernel frames, and shows no bare address", () => {
    expect(nameKernelFrame("  nf_hook_slow+0x44 ")).toEqual({ name: "nf_hook_slow", file: "[kernel]" });
    expect(nameKernelFrame("add_entry")).toEqual({ name: "add_entry", file: "[kernel]" });
    for (const unnamed of ["", "[unknown]", "0xffffffff81000000", "ffffffffa0000000"]) {
      expect(nameKernelFrame(unnamed)).toEqual({ name: "[kernel]", file: "[kernel]" });
    }
  });

  it("gives user frames their source file, else their module", () => {
    expect(nameUserFrame(frame("main"))).toEqual({ name: "main", file: "app" });
    expect(nameUserFrame({ name: "render", module: "[jit]", file: "/a.js", line: 3, kind: "jit" })).toEqual({
      name: "render",
      file: "/a.js",
      line: 3,
    });
  });
});

describe("truncated stacks", () => {
  const deep = [frame("leaf"), frame("caller"), frame("main"), frame("_start")];

  it("are counted by program, but not where a thread begins", () => {
    const counter = createTruncationCounter();
    counter.add("python3", [frame("leaf")], 3);
    counter.add("python3", [frame("leaf"), frame("caller")]);
    counter.add("python3", deep, 6);
    counter.add("python3", []);
    counter.add("sh", [frame("_start")]);
    counter.add("sh", [frame("work"), frame("start_thread")]);
    expect(counter.result()).toEqual([
      { comm: "python3", stacks: 10, afterOne: 3, afterTwo: 4 },
      { comm: "sh", stacks: 2, afterOne: 0, afterTwo: 0 },
    ]);
  });

  it("end where the walk went on into data, but not at code without a name", () => {
    const counter = createTruncationCounter();
    const heap: UserFrame = { name: "[heap]", module: "[heap]", kind: "unknown" };
    counter.add("gzip", [frame("leaf"), heap, heap]);
    counter.add("ended", [heap, heap, heap]);
    counter.add("jit", [JIT_FRAME, JIT_FRAME, JIT_FRAME]);
    expect(counter.result().map(({ comm, afterOne }) => [comm, afterOne])).toEqual([
      ["gzip", 1],
      ["ended", 0],
      ["jit", 0],
    ]);
  });

  it("are explained when they are many", () => {
    expect(explainTruncation({ comm: "python3", stacks: 100, afterOne: 38, afterTwo: 50 })).toMatch(
      /^38 % of user stacks of `python3` end after one frame: .*frame pointers/,
    );
    expect(explainTruncation({ comm: "gzip", stacks: 100, afterOne: 10, afterTwo: 56 })).toMatch(
      /^56 % of user stacks of `gzip` end after one or two frames: /,
    );
    expect(explainTruncation({ comm: "node", stacks: 1000, afterOne: 10, afterTwo: 20 })).toBeNull();
    expect(explainTruncation({ comm: "ls", stacks: 3, afterOne: 3, afterTwo: 3 })).toBeNull();
  });
});
