import { Buffer } from "node:buffer";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createDecoder } from "../../../src/wire/decode.ts";
import { readPlainPrintf } from "../../../src/wire/plain-printf.ts";

const line = (data: string) => Buffer.from(`{"type": "printf", "data": "${data}"}`, "latin1");

test("what it reads is what was printed: tabs, newlines, quotes and backslashes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 60 }), (text) => {
      const printed = line(JSON.stringify(text).slice(1, -1));
      const read = readPlainPrintf(printed);
      // Control characters without a letter of their own are escaped by number: these go the long way.
      const isSpecial = Array.from(text).some(
        (char) => (char < " " && !"\b\t\n\f\r".includes(char)) || char > "~",
      );
      if (isSpecial) expect(read).toBeNull();
      else expect(read).toBe(text);
    }),
  );
});

test("any bytes are read as the long way reads them, or left to it", () => {
  // A record of another type in front keeps the text from being the whole line.
  const long = (bytes: Buffer) => createDecoder(null).decode(Buffer.concat([Buffer.from(" "), bytes]))[0];
  const piece = fc.constantFrom(
    "\\",
    '"',
    "\\n",
    "\\u00e9",
    "\\uffffffc3",
    "\\x",
    "}",
    '"}',
    "a",
    "\xc3\xa9",
    "\t",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const bytes = line(pieces.join(""));
      const read = readPlainPrintf(bytes);
      if (read !== null) expect(long(bytes)).toEqual({ kind: "text", text: read });
    }),
  );
});

test("other records, and lines that are cut, are left alone", () => {
  for (const text of [
    "",
    '{"type": "printf", "data": "',
    '{"type": "printf", "data": "x"',
    '{"type": "printf", "data": "}',
    '{"type": "time", "data": "12:00"}',
    '{"type": "printf", "data": "x"} ',
  ])
    expect(readPlainPrintf(Buffer.from(text))).toBeNull();
  expect(readPlainPrintf(line(""))).toBe("");
});
