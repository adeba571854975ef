import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  parseCallers,
  parseStackSample,
  parseUserSample,
  parseUserStack,
  splitKernelStack,
} from "../../../src/profile/samples/record.ts";

// As bpftrace 0.17 printed them on Linux 6.18.
const KERNEL =
  "S\t5175761592050\t10888\t10889\t1\t1\tffffffff8108d5d3\tK\n        finish_task_switch.isra.0+147\n        __schedule+996\n\tU\n        0x7fe15d795bd3\n        0x55d8678c513a\n\tCsh";
const USER = "u\t5952353146013\t16538\t16539\t1\t7fb31803467d\t6c31fab41ee1b6e7\tMainThread";

describe("records of samples", () => {
  it("reads a sample in the kernel with both stacks", () => {
    const sample = parseStackSample(KERNEL);
    expect(sample).toMatchObject({
      nsecs: 5_175_761_592_050,
      pid: 10_888,
      tid: 10_889,
      cpu: 1,
      mode: "kernel",
      callers: null,
      comm: "sh",
    });
    expect(splitKernelStack(sample?.kernel ?? "")).toEqual([
      "finish_task_switch.isra.0+147",
      "__schedule+996",
    ]);
    expect(parseUserStack(sample?.user ?? "")).toEqual([0x7fe15d795bd3, 0x55d8678c513a]);
  });

  it("reads a sample in user mode", () => {
    expect(parseUserSample(USER)).toEqual({
      nsecs: 5_952_353_146_013,
      pid: 16_538,
      tid: 16_539,
      cpu: 1,
      mode: "user",
      ip: 0x7fb31803467d,
      kernel: "",
      user: "",
      callers: "6c31fab41ee1b6e7",
      comm: "MainThread",
    });
  });

  it("reads addresses in every stack mode", () => {
    const stacks = [
      "\n        0x7f2a32d68b59\n        0xe23036\n",
      "\n\t7f2a32d68b59 0x7f2a32d68b59 ([unknown])\n\te23036 0xe23036 ([unknown])\n",
      "7f2a32d68b59\ne23036\n",
    ];
    for (const stack of stacks) expect(parseUserStack(stack)).toEqual([0x7f2a32d68b59, 0xe23036]);
    expect(parseUserStack("")).toEqual([]);
  });

  it("keeps a name that looks like the format", () => {
    const comm = "a\tU\tCb\nS\t1\t2";
    expect(parseStackSample(KERNEL.slice(0, -2) + comm)?.comm).toBe(comm);
    expect(parseUserSample(USER.replace("MainThread", comm))?.comm).toBe(comm);
  });

  it("reads callers to their end", () => {
    expect(parseCallers("V\t6c31\t1\t7f98 e2 0")).toEqual({
      callers: "6c31",
      group: 1,
      addresses: [0x7f98, 0xe2, 0],
    });
    expect(parseCallers("V\t6c31\t1\t7f98 zz")).toBeNull();
    expect(parseCallers("V\tnot hex\t1\t7f98")).toBeNull();
  });

  it("never throws, and takes no number that is none", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("S", "u", "V", "\t", "-1", "NaN", "1e9", "K", "U", "C"),
    );
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const text = words.join("\t");
        for (const sample of [parseStackSample(text), parseUserSample(text)]) {
          if (sample === null) continue;
          expect(sample.nsecs).toBeGreaterThanOrEqual(0);
          expect(sample.pid).toBeGreaterThanOrEqual(0);
          expect(sample.cpu).toBeGreaterThanOrEqual(0);
        }
        parseCallers(text);
        parseUserStack(text);
      }),
    );
  });
});
