import { describe, expect, it } from "vitest";
import {
  lastLine,
  makeNonce,
  splitByFile,
  splitSections,
} from "../../../src/evidence/net/collect/sections.ts";

const mark = (nonce: string, text: string): string => `\n\u001e${nonce} ${text}\n`;

describe("sections of a script's output", () => {
  const nonce = makeNonce();

  it("have text, status and the last line of stderr", () => {
    const stdout = `${mark(nonce, "a")}one\ntwo\n${mark(nonce, "= 0")}${mark(nonce, "b c")}${mark(nonce, "= 127")}`;
    const stderr = `${mark(nonce, "a")}${mark(nonce, "b c")}sh: 1: b:\nnot found\n`;
    expect([...splitSections(stdout, stderr, nonce)]).toEqual([
      ["a", { text: "one\ntwo\n", status: 0, message: "" }],
      ["b c", { text: "", status: 127, message: "not found" }],
    ]);
  });

  it("have no status when the script was killed in them", () => {
    const sections = splitSections(
      `${mark(nonce, "a")}${mark(nonce, "= 0")}${mark(nonce, "b")}[{"x`,
      "",
      nonce,
    );
    expect(sections.get("b")).toEqual({ text: '[{"x', status: null, message: "" });
  });

  it("cannot be forged by a text that does not know the nonce", () => {
    const stdout = `${mark(nonce, "a")}x${mark("0".repeat(32), "= 0")}y${mark(nonce, "= 1")}`;
    expect([...splitSections(stdout, "", nonce).keys()]).toEqual(["a"]);
    expect(splitSections(stdout, "", nonce).get("a")?.status).toBe(1);
  });

  it("are none in an empty output", () => {
    expect(splitSections("", "", nonce).size).toBe(0);
  });
});

it("parts grep's lines by file, values with colons included", () => {
  const files = splitByFile(
    "/proc/net/dev:  eth0: 1 2\n/proc/net/dev: lo: 3\n/proc/net/udp:a\nBinary file matches\n",
  );
  expect([...files]).toEqual([
    ["/proc/net/dev", "  eth0: 1 2\n lo: 3"],
    ["/proc/net/udp", "a"],
  ]);
});

it("cuts a message to what fits a notice", () => {
  expect(lastLine("a\nb\n\n")).toBe("b");
  expect(lastLine("x".repeat(1000))).toHaveLength(300);
  expect(lastLine("")).toBe("");
});
