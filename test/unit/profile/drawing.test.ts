import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapeMarkup } from "../../../src/profile/flame/escape.ts";
import { drawHtml, drawSvg, isOwnDrawing } from "../../../src/profile/flame/svg.ts";
import { buildFlame, MAX_BOXES } from "../../../src/profile/flame/tree.ts";
import type { Sample } from "../../../src/profile/model.ts";
import { collectProfiles } from "../../../src/profile/store/store.ts";
import { buildTree } from "../../../src/profile/store/tree.ts";
import { sum } from "./helpers.ts";

function draw(samples: Sample[], kind: "svg" | "html" = "svg", title = "title"): string {
  const store = collectProfiles("test", [{ name: "p", unit: "none", order: "none", samples }]);
  const [data] = store.profiles;
  if (data === undefined) throw new Error("no profile");
  const flame = buildFlame(store, buildTree(store, data), "all");
  return (kind === "svg" ? drawSvg : drawHtml)(flame, { title, unit: "none", diff: false });
}

/** The boxes of a drawing: name, left edge and width. */
function listBoxes(text: string): { name: string; left: number; width: number; top: number }[] {
  const pattern = /<g class="box" data-name="([^"]*)">.*?<rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"/g;
  return [...text.matchAll(pattern)].map(([, name = "", left, top, width]) => ({
    name,
    left: Number(left),
    top: Number(top),
    width: Number(width),
  }));
}

/** The kinds of tags in a text. */
function tags(text: string): string[] {
  return [...new Set(text.match(/<[!/]?\w+/g))].toSorted();
}

const samples: Sample[] = [
  { stack: [{ name: "main" }, { name: "read", file: "[kernel]" }], weight: 3 },
  { stack: [{ name: "main" }, { name: "write" }], weight: 1 },
];

describe("a flame graph", () => {
  it("draws boxes as wide as their weight, children below their parent, heaviest first", () => {
    const boxes = listBoxes(draw(samples));
    const [all, main, read, write] = ["all", "main", "read", "write"].map((name) =>
      boxes.find((box) => box.name === name),
    );
    expect(all?.width).toBeCloseTo(1180, 1);
    expect(main?.width).toBeCloseTo(1180, 1);
    expect(read?.width).toBeCloseTo(885, 1);
    expect(write?.width).toBeCloseTo(295, 1);
    expect(read?.left).toBe(main?.left);
    expect(write?.left).toBeCloseTo(885 + 10, 1);
    expect(read?.top).toBe(write?.top);
    expect((read?.top ?? 0) - (main?.top ?? 0)).toBe(18);
  });

  it("says weight and share of each box", () => {
    expect(draw(samples)).toContain("<title>read [kernel]: 3, 75.00%</title>");
  });

  it("knows its own drawings", () => {
    expect(isOwnDrawing(Buffer.from(draw(samples)))).toBe(true);
    expect(isOwnDrawing(Buffer.from(draw(samples, "html")))).toBe(true);
    expect(isOwnDrawing(Buffer.from("<svg></svg>"))).toBe(false);
  });

  it("lets only its own script run in a page", () => {
    const page = draw(samples, "html");
    const script = /<script>(.*?)<\/script>/s.exec(page)?.[1] ?? "";
    const hash = createHash("sha256").update(script).digest("base64");
    expect(page).toContain(`script-src 'sha256-${hash}'`);
    expect(page).toContain("default-src 'none'");
  });

  it("has a limit of boxes, and folds the lightest into one", () => {
    const many = Array.from({ length: MAX_BOXES * 2 }, (_, index) => ({
      stack: [{ name: `f${index}` }],
      weight: index < 10 ? 1000 : 1,
    }));
    const store = collectProfiles("test", [{ name: "p", unit: "none", order: "none", samples: many }]);
    const [data] = store.profiles;
    if (data === undefined) throw new Error("no profile");
    const flame = buildFlame(store, buildTree(store, data), "all", 20);
    expect(flame.children).toHaveLength(20);
    expect(sum(flame.children.map(({ total }) => total))).toBe(flame.total);
    expect(flame.total).toBe(data.total);
  });

  it("shows names as text, whatever is in them", () => {
    const hostile = [
      `</text><script>alert(1)</script>`,
      `"onload="x`,
      "a&b<c>'d",
      "\u0000\u001b[31m\u202eevil\ud800",
      "]]>",
      "--><!--",
    ];
    for (const kind of ["svg", "html"] as const) {
      const clean = draw([{ stack: [{ name: "x" }], weight: 1 }], kind, "title");
      const dirty = draw(
        [{ stack: hostile.map((name) => ({ name, file: name })), weight: 1 }],
        kind,
        hostile.join(""),
      );
      expect(tags(dirty)).toEqual(tags(clean));
      expect(dirty.match(/<script>/g)).toHaveLength(1);
      // oxlint-disable-next-line no-control-regex -- control characters are the point
      expect(dirty).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u202e]/);
    }
  });

  it("escapes any text so that markup sees characters only", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const escaped = escapeMarkup(text);
        expect(escaped).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/);
        expect(escaped.isWellFormed()).toBe(true);
      }),
    );
  });
});
