import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareProfiles, listChanges, type Side } from "../../../src/profile/diff.ts";
import { buildDiffFlame } from "../../../src/profile/flame/tree.ts";
import type { Frame, Sample } from "../../../src/profile/model.ts";
import { printDiffFolded } from "../../../src/profile/write/diff-folded.ts";
import { collectProfiles } from "../../../src/profile/store/store.ts";
import { sum } from "./helpers.ts";

function side(name: string, samples: Sample[]): Side {
  const store = collectProfiles(name, [{ name, unit: "none", order: "none", samples }]);
  const [data] = store.profiles;
  if (data === undefined) throw new Error("no profile");
  return { store, data, name };
}

function parse(text: string): Sample[] {
  return text.split("\n").map((line) => {
    const space = line.lastIndexOf(" ");
    return {
      stack: line
        .slice(0, space)
        .split(";")
        .map((name): Frame => ({ name })),
      weight: Number(line.slice(space + 1)),
    };
  });
}

const before = side("before", parse("main;read 30\nmain;gone 10\nmain;main;loop 60"));
const after = side("after", parse("main;read 150\nmain;new 20\nmain;main;loop 30"));

describe("a comparison", () => {
  it("scales both sides to the same whole and counts recursion once", () => {
    const changes = listChanges(compareProfiles(before, after));
    const table = Object.fromEntries(changes.map((change) => [change.frame.name, change]));
    expect(changes[0]?.frame.name).toBe("read");
    expect(table["read"]).toMatchObject({ selfBefore: 0.3, selfAfter: 0.75 });
    expect(table["gone"]).toMatchObject({ selfBefore: 0.1, selfAfter: 0 });
    expect(table["new"]).toMatchObject({ selfBefore: 0, selfAfter: 0.1 });
    expect(table["main"]?.totalBefore).toBeCloseTo(1, 12);
    expect(table["main"]?.selfAfter).toBe(0);
  });

  it("does not care how long either side was recorded", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (factor) => {
        const longer = side(
          "longer",
          parse("main;read 30\nmain;gone 10\nmain;main;loop 60").map((sample) => ({
            ...sample,
            weight: sample.weight * factor,
          })),
        );
        for (const change of listChanges(compareProfiles(before, longer))) {
          expect(change.selfAfter - change.selfBefore).toBeCloseTo(0, 9);
        }
      }),
    );
  });

  it("draws what vanished as well as what is new", () => {
    const { store, tree, shares } = compareProfiles(before, after);
    const flame = buildDiffFlame(store, tree, shares, "all");
    const [main] = flame.children;
    expect(flame.total).toBeCloseTo(1, 9);
    expect(
      main?.children.map(({ frame, before: was, after: is }) => [
        frame.name,
        Math.round(was * 100),
        Math.round(is * 100),
      ]),
    ).toEqual([
      ["read", 30, 75],
      ["main", 60, 15],
      ["gone", 10, 0],
      ["new", 0, 10],
    ]);
    expect(sum(main?.children.map(({ total }) => total) ?? [])).toBeCloseTo(1, 9);
  });

  it("prints folded differences, BEFORE scaled to AFTER", () => {
    const chunks: string[] = [];
    printDiffFolded(
      compareProfiles(before, after),
      (chunk) => void chunks.push(Buffer.from(chunk).toString()),
    );
    expect(chunks.join("").split("\n").toSorted()).toEqual([
      "",
      "main;gone 20 0",
      "main;main;loop 120 30",
      "main;new 0 20",
      "main;read 60 150",
    ]);
  });

  it("compares names only where one side knows no files", () => {
    const marked = side("marked", [{ stack: [{ name: "f", file: "[kernel]" }], weight: 1 }]);
    const plain = side("plain", [{ stack: [{ name: "f" }], weight: 1 }]);
    expect(listChanges(compareProfiles(marked, plain))).toHaveLength(1);
    const other = side("other", [{ stack: [{ name: "f", file: "/usr/lib/libc.so.6" }], weight: 1 }]);
    expect(listChanges(compareProfiles(marked, other))).toHaveLength(2);
  });
});
