import { expect, it } from "vitest";
import { detectFormat } from "../../../src/profile/read/detect.ts";

it.each([
  ["Attaching 2 probes...\n\n\n@[\n    f+1\n]: 1\n", "bpftrace"],
  ["@off[, \n    f+1\n, comm]: 1\n", "bpftrace"],
  ["@[comm, \r\n    f+1\r\n]: 1\r\n", "bpftrace"],
  ['stdin:1: WARNING: x\n{"type": "attached_probes", "data": {"probes": 1}}\n', "bpftrace-json"],
  ["a;b;c 12\n", "folded"],
  ["[unknown];b 12\n", "folded"],
  ["{closure};b 1.5\n", "folded"],
  ["@_[k];b 12\n", "folded"],
  ["# 12\n", "folded"],
  ["# ========\n# captured on: x\n\nnode 12 [000] 1.5: 250 cycles:u: \n\t 7f12ab f (m)\n\n", "perf-script"],
  ["V8 Worker 12/13 1.5: cycles: \n            7f12ab f (m)\n", "perf-script"],
  ["node 12 [000] 1.5: cycles: 7f12ab f (m)\n", "perf-script"],
  ["burn 28172 \n\t            11b1 inner\n\n", "perf-script"],
  ["\n\t            11b1 inner\n\n", "perf-script"],
  ["            burn 28526 cpu-clock:      55d13fa5a1a7 inner (/bin/burn)\n", "perf-script"],
  ["            burn      55d13fa5a1a7 inner\n", "perf-script"],
  ["rubbish\nmore of it\nand more\na;b 12\n", "folded"],
  ["a;b\t12\n", "folded"],
  ['\ufeff {"$schema":"https://www.speedscope.app/file-format-schema.json"', "speedscope"],
  ['{ "profiles" : [', "speedscope"],
  ["\n\u0004\u0008\u0001\u0010\u0002", "pprof"],
  // Go's CPU profiles begin with the time, its heap profiles with the period's type.
  ["H\u0001\n\u0004\u0008\u0001\u0010\u0002P\u0005", "pprof"],
  ["Z\u0004\u0008\u0001\u0010\u0002`\u0005\n\u0004\u0008\u0003\u0010\u0004", "pprof"],
])("knows %j", (head, format) => {
  expect(detectFormat(Buffer.from(head))).toEqual({ format });
});

it.each([
  "",
  "\u007fELF\u0002\u0001\u0000\u0000\nx 12\ny 13\n",
  "a log\nof things\nand 12\n",
  "hello",
  '{"traceEvents":[]}',
  "[1,2]",
  "a;b\n",
  "PERFILE2",
])("does not guess at %j", (head) => {
  expect(detectFormat(Buffer.from(head))).toHaveProperty("unreadable");
});
