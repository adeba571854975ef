import fc from "fast-check";
import { expect, test } from "vitest";
import { createLineSplitter } from "../../../src/launch/lines.ts";

test("lines are the same however the stream is cut, and the last one without a newline is kept", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.nat(300), { maxLength: 10 }),
      (bytes, cuts) => {
        const data = Buffer.from(bytes.map((byte) => (byte % 5 === 0 ? 10 : byte)));
        const lines: string[] = [];
        const splitter = createLineSplitter((line) => lines.push(line.toString("latin1")));
        let start = 0;
        for (const cut of [...cuts, data.length]
          .map((at) => Math.min(at, data.length))
          .sort((a, b) => a - b)) {
          splitter.push(data.subarray(start, cut));
          start = cut;
        }
        splitter.flush();
        const expected = data.toString("latin1").split("\n");
        if (expected.at(-1) === "") expected.pop();
        expect(lines).toEqual(expected);
      },
    ),
  );
});
