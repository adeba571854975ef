import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { EXIT, TraceError } from "../error.ts";

/** One file of the bundled viewer. */
export interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

/** The viewer: speedscope as its package ships it, nothing of it comes over a network. */
export interface ViewerAssets {
  /** By file name. */
  readonly files: ReadonlyMap<string, Asset>;
  /** Names of the program and of its style sheet, which index.html loads. */
  readonly script: string;
  readonly style: string;
  readonly version: string;
  /** Its licence and its font's, which every copy has to carry. */
  readonly licences: string;
}

const TYPES: Record<string, string | undefined> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
};

/** Reads the viewer from the `speedscope` package. Throws TraceError if the installation lacks it. */
export function loadAssets(): ViewerAssets {
  try {
    const require = createRequire(import.meta.url);
    const root = dirname(require.resolve("speedscope/package.json"));
    const folder = join(root, "dist", "release");
    const files = new Map<string, Asset>();
    for (const name of readdirSync(folder)) {
      const type = TYPES[extname(name)];
      if (type !== undefined) files.set(name, { type, body: readFileSync(join(folder, name)) });
    }
    const index = files.get("index.html")?.body.toString("utf8") ?? "";
    const script = /<script src="([^"]+)">/.exec(index)?.[1];
    const style = /<link rel="stylesheet" href="([^"]+)">/.exec(index)?.[1];
    if (script === undefined || style === undefined) throw new Error("its index.html has changed");
    const licences = ["LICENSE", "dist/release/source-code-pro.LICENSE.md"].map((name) =>
      readFileSync(join(root, name), "utf8"),
    );
    return { files, script, style, version: readVersion(root), licences: licences.join("\n") };
  } catch (error) {
    throw new TraceError(EXIT.failed, "the viewer (package speedscope) cannot be read", {
      why: error instanceof Error ? error.message : null,
      hint: "npm ci   # in the folder of trace",
      cause: error,
    });
  }
}

function readVersion(root: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  if (typeof manifest !== "object" || manifest === null || !("version" in manifest)) return "";
  return String(manifest.version);
}
