import { describe, expect, test } from "vitest";
import { VERSIONS, decodeLines, decodeRecording, entriesOf, ofKind } from "./recording.ts";

describe.each(VERSIONS)("text of %s", (version) => {
  test("bytes >= 0x80 are the UTF-8 they were, raw (before 0.17) or as \\uffffffXX", () => {
    const messages = decodeRecording(version, "bytes");
    expect(ofKind(messages, "text")).toEqual([{ kind: "text", text: "x\u0001 é \ufffd\ufffdz\n" }]);
    expect(ofKind(messages, "value")[0]?.value).toEqual([1, "€"]);
    expect(entriesOf(messages, "@v")).toEqual([["k", "é\ufffd"]]);
    // 0.24 and later delete the spaces of a key.
    expect(entriesOf(messages, "@q")).toEqual([
      [version === "0.27.0" ? 'é\ufffd\\"\t' : 'é\ufffd \\ " \t', 1],
    ]);
  });

  test("a hostile process name comes through whole, in printf and as a key", () => {
    const messages = decodeRecording(version, "weird_comm");
    const name = 'a"\\b\ufffd\u0001\ttab';
    expect(ofKind(messages, "text")).toEqual([{ kind: "text", text: `c=${name}\n` }]);
    expect(entriesOf(messages, "@")).toEqual([[name, 1]]);
  });

  test("quotes, backslashes and newlines in a key: escaped twice in 0.22 and 0.23", () => {
    const messages = decodeRecording(version, "nested_str");
    expect(ofKind(messages, "text")).toEqual([{ kind: "text", text: 'q"b\\t\ttab\n' }]);
    expect(entriesOf(messages, "@")).toEqual([['q"\\n\nnl', 1]]);
  });

  test("text that looks like the damage is left alone", () => {
    expect(entriesOf(decodeRecording(version, "bytes"), "@u")).toEqual([["1,\\uffffffc3", 2]]);
  });
});

describe("keys", () => {
  test("0.24 and later have lost spaces and outer parentheses: nothing invents them", () => {
    for (const version of VERSIONS) {
      const keys = new Set(entriesOf(decodeRecording(version, "keys"), "@").map(([key]) => key));
      expect(keys).toEqual(
        new Set(version === "0.27.0" ? ["WebContent", "sd-pam"] : ["Web Content", "(sd-pam)"]),
      );
    }
  });

  test("integers in a key are left as printed", () => {
    const printed = VERSIONS.map((version) => entriesOf(decodeRecording(version, "keys"), "@n")[0]?.[0]);
    expect(printed).toEqual([
      "-5,9223372036854775807,a b,c",
      "-5,-1,a b,c",
      "-5,-1,a b,c",
      "-5,18446744073709551615,ab,c",
    ]);
  });

  test("a pointer is decimal in 0.23, hexadecimal before and after", () => {
    const keys = (["0.17.0", "0.23.2", "0.27.0"] as const).map((version) =>
      entriesOf(decodeRecording(version, "pointer_key"), "@p").map(([key]) => key),
    );
    expect(keys[0]).toContain("0xffffffff82033a51");
    expect(keys[1]).toContain("18446744071595833937");
    expect(keys[2]).toContain("0xffffffff82033a51");
  });

  test("a stack is lines, one for each frame, indented or not", () => {
    for (const version of VERSIONS) {
      const keys = entriesOf(decodeRecording(version, "kstack_ustack_comm"), "@").map(([key]) => key ?? "");
      expect(keys.length).toBeGreaterThan(2);
      for (const key of keys) {
        // The empty stack is "" up to 0.17 and a newline later; the command is the last part.
        expect(key).toMatch(/^(?:\n(?: *\S+\n)*)?,\n(?: *\S+\n)+,busybee$/);
      }
    }
  });

  test("a perf stack has address and name, run together from 0.24 on", () => {
    for (const version of VERSIONS) {
      const keys = entriesOf(decodeRecording(version, "ustack_perf"), "@").map(([key]) => key ?? "");
      expect(keys.length).toBeGreaterThan(1);
      const frame =
        version === "0.27.0"
          ? /^\n\t[0-9a-f]{12}[A-Za-z_]\w*\+\d+\(\//
          : /^\n\t[0-9a-f]{12} [A-Za-z_]\w*\+\d+ \(\//;
      expect(keys.some((key) => frame.test(key))).toBe(true);
    }
  });

  test("the same user stack of forked processes is printed as often as there are processes, and kept", () => {
    for (const version of ["0.17.0", "0.23.2", "0.27.0"] as const) {
      const entries = entriesOf(decodeRecording(version, "duplicate_keys"), "@");
      const distinct = new Set(entries.map(([key]) => key));
      expect(distinct.size).toBeLessThan(entries.length);
      const total = entries.reduce((sum, [, value]) => sum + Number(value), 0);
      const [[, samples] = []] = entriesOf(decodeRecording(version, "duplicate_keys"), "@n");
      expect(total).toBe(samples);
    }
  });

  test("keys keep the order bpftrace printed, also keys that are integers", () => {
    const [map] = decodeLines("0.17.0", '{"type": "map", "data": {"@": {"9": 1, "10": 2, "1": 3, "9": 4}}}');
    expect(map).toEqual({
      kind: "map",
      name: "@",
      entries: [
        { key: "9", value: 1 },
        { key: "10", value: 2 },
        { key: "1", value: 3 },
        { key: "9", value: 4 },
      ],
    });
  });

  test("a second unescape is for 0.22 and 0.23 only", () => {
    const line = String.raw`{"type": "map", "data": {"@": {"a\\nb": "c\\nd"}}}`;
    const keyed = ["0.21.3", "0.22.0", "0.23.5", "0.24.0", null].map(
      (version) => entriesOf(decodeLines(version, line), "@")[0],
    );
    expect(keyed).toEqual([
      ["a\\nb", "c\\nd"],
      ["a\nb", "c\\nd"],
      ["a\nb", "c\\nd"],
      ["a\\nb", "c\\nd"],
      ["a\\nb", "c\\nd"],
    ]);
  });
});

function decode(text: string): string | undefined {
  return ofKind(decodeLines("0.17.0", `{"type": "printf", "data": "${text}"}`), "text")[0]?.text;
}

describe("escapes nobody prints", () => {
  test("are JSON where they are JSON, and stay as they are where they are not", () => {
    expect(decode(String.raw`\u00e9\/\b\f`)).toBe("é/\b\f");
    expect(decode(String.raw`\ud83d\ude00`)).toBe("😀");
    expect(decode(String.raw`\ud83d \ude00`)).toBe("\ufffd \ufffd");
    expect(decode(String.raw`\uffff`)).toBe("\uffff");
    expect(decode(String.raw`\uffffff7f`)).toBe("\uffffff7f");
    expect(decode(String.raw`\q \u12 \u12g4`)).toBe(String.raw`\q \u12 \u12g4`);
  });

  test("a line given as a string reads like its bytes", () => {
    const line = '{"type": "printf", "data": "é\\uffffffc3\\uffffffa9€"}';
    expect(decodeLines("0.17.0", line)).toEqual([{ kind: "text", text: "éé€" }]);
    expect(decodeLines("0.17.0", Buffer.from(line))).toEqual([{ kind: "text", text: "éé€" }]);
  });
});
