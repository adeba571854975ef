import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { EXIT, TraceError } from "../error.ts";
import { escapeMarkup } from "../profile/flame/escape.ts";
import type { ViewerAssets } from "./assets.ts";
import { buildPagePolicy } from "./policy.ts";

/** Stands at the begin of every page: this is how we know a file is ours to replace. */
const MARK = "<!-- trace-ebpf profile page -->";
/** A JavaScript string holds 2^29 − 24 characters; the page's text must fit into one. */
const MAX_BASE64 = 400 << 20;

/** Whether the first bytes of a file say that it is a page of ours. */
export function isOwnPage(head: Buffer): boolean {
  return head.toString("latin1", 0, 200).includes(MARK);
}

/**
 * Hands a page to `write` that holds the viewer and the profile, and needs neither network nor server. Throws TraceError for a profile
 * that is too large for a page.
 */
export function printPage(
  assets: ViewerAssets,
  profile: { readonly name: string; readonly body: Uint8Array },
  write: (chunk: string | Uint8Array) => void,
): void {
  const packed = gzipSync(profile.body);
  if (packed.length * (4 / 3) > MAX_BASE64) {
    throw new TraceError(EXIT.failed, "this profile is too large for one page", {
      hint: "trace convert FILE -o SMALLER.speedscope.json --node-budget 500000",
    });
  }
  const program = readAsset(assets, assets.script);
  const loader = buildLoader(profile.name);
  write(`<!DOCTYPE html>\n${MARK}\n<!--\nThis page contains speedscope ${assets.version} and its font.\n`);
  write(`${assets.licences.replaceAll("--", "- -")}\n-->\n<html><head><meta charset="UTF-8">\n`);
  const policy = buildPagePolicy([hashScript(loader), hashScript(program)]);
  write(`<meta http-equiv="Content-Security-Policy" content="${policy}">\n`);
  write(
    `<title>${escapeMarkup(profile.name)}</title>\n<style>${inlineStyle(assets)}</style>\n</head><body>\n`,
  );
  write('<script type="text/plain" id="profile">');
  write(packed.toString("base64"));
  write(`</script>\n<script>${loader}</script>\n<script>${program}</script>\n</body></html>\n`);
}

/**
 * Gives speedscope the profile by its own way for local files: told to load one, it sets `window.speedscope` for the script that would
 * bring it. The page takes that place; the script itself does not exist and is not allowed to load.
 */
function buildLoader(name: string): string {
  const argument = JSON.stringify(name).replaceAll("<", "\\u003c");
  return `"use strict";
location.hash = "#localProfilePath=embedded&view=left-heavy";
Object.defineProperty(window, "speedscope", {
  set(viewer) {
    viewer.loadFileFromBase64(${argument}, document.getElementById("profile").textContent);
  },
});
`;
}

function inlineStyle(assets: ViewerAssets): string {
  const style = readAsset(assets, assets.style).replace(/\/\*# sourceMappingURL=.*?\*\//s, "");
  return style.replaceAll(/url\("?\.\/([^")]+)"?\)/g, (whole, name: string) => {
    const asset = assets.files.get(name);
    return asset === undefined ? whole : `url("data:${asset.type};base64,${asset.body.toString("base64")}")`;
  });
}

function readAsset(assets: ViewerAssets, name: string): string {
  const text = assets.files.get(name)?.body.toString("utf8") ?? "";
  // What would end the element early, if a later version should contain it, is written differently.
  return text
    .replaceAll(/<\/(script|style)/gi, "<\\/$1")
    .replaceAll("<!--", "<\\!--")
    .replace(/\n?\/\/# sourceMappingURL=\S*\s*$/, "\n");
}

function hashScript(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
