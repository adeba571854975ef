import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listStacks, readBytes } from "../unit/profile/helpers.ts";

const CLI = new URL("../../src/cli.ts", import.meta.url).pathname;
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);
/** Screenshots are for looking at: TRACE_SCREENSHOTS names a folder to keep them in. */
const SCREENSHOTS = process.env["TRACE_SCREENSHOTS"];

/** Names with what breaks writers: separators, quotes, markup, mangling, other scripts. */
const BPFTRACE = `Attaching 1 probe...

@[
    vfs_read+12
    entry_SYSCALL_64_after_hwframe+110
,${" "}
    _ZN3foo3barEv+4
    a;b, "c" <b>\\+8
    main+2
, déjà]: 60
@[,${" "}
    spin+1
    main+2
, déjà]: 40
`;
const STACKS = {
  'déjà;main;a;b, "c" <b>\\;_ZN3foo3barEv;entry_SYSCALL_64_after_hwframe[[kernel]];vfs_read[[kernel]]': 60,
  "déjà;main;spin": 40,
};

const folder = mkdtempSync(join(tmpdir(), "trace-view-test-"));
const input = join(folder, "map.txt");
let browser: Browser;

beforeAll(async () => {
  writeFileSync(input, BPFTRACE);
  if (CHROMIUM === undefined) throw new Error("needs a browser: apt-get install chromium");
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--use-gl=angle",
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
      "--disable-dev-shm-usage",
    ],
  });
});
afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true });
});

interface Visit {
  readonly page: Page;
  readonly errors: string[];
  readonly requests: string[];
}

async function visit(url: string): Promise<Visit> {
  const page = await browser.newPage({ viewport: { width: 1200, height: 700 } });
  const errors: string[] = [];
  const requests: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  return { page, errors, requests };
}

async function keepScreenshot(page: Page, name: string): Promise<Buffer> {
  const image = await page.screenshot();
  if (SCREENSHOTS !== undefined) writeFileSync(join(SCREENSHOTS, `${name}.png`), image);
  return image;
}

/** Waits until speedscope has drawn, then lets it export what its own importer made of the file. */
async function exportAgain(page: Page): Promise<Record<string, number>> {
  await page.getByText("Left Heavy").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Export").click()]);
  const { store } = await readBytes(readFileSync(await download.path()));
  return listStacks(store, store.profiles[0]);
}

/** How many different colours the middle of the drawing has: an empty canvas has one. */
async function countColours(page: Page, image: Buffer): Promise<number> {
  return page.evaluate<number>(`${COUNT_COLOURS}("${image.toString("base64")}")`);
}

// A text, because this project's types know no document.
const COUNT_COLOURS = `(async (data) => {
  const image = new Image();
  image.src = "data:image/png;base64," + data;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width; canvas.height = image.height;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data: pixels } = context.getImageData(0, 130, image.width, 200);
  const colours = new Set();
  for (let place = 0; place < pixels.length; place += 4) colours.add(pixels.slice(place, place + 3).join());
  return colours.size;
})`;

describe("trace view", () => {
  let child: ChildProcess;
  let url = "";
  let ended: Promise<[number | null, NodeJS.Signals | null]>;

  beforeAll(async () => {
    child = spawn(process.execPath, [CLI, "view", input, "--no-open"], { stdio: ["ignore", "pipe", "pipe"] });
    ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve([code, signal])));
    url = await new Promise((resolve, reject) => {
      child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString().trim()));
      child.once("exit", () => reject(new Error("trace view ended")));
    });
  });
  afterAll(() => void child.kill("SIGKILL"));

  it("draws the profile, with the same weights per stack after speedscope's own import", async () => {
    const { page, errors, requests } = await visit(url);
    const stacks = await exportAgain(page);
    // speedscope demangles on import, which needs the WebAssembly that the page's policy allows.
    expect(stacks).toEqual(
      Object.fromEntries(
        Object.entries(STACKS).map(([stack, weight]) => [
          stack.replace("_ZN3foo3barEv", "foo::bar()"),
          weight,
        ]),
      ),
    );
    expect(errors).toEqual([]);
    const origin = new URL(url).origin;
    expect(
      requests.filter(
        (request) =>
          !request.startsWith(origin) && !request.startsWith("data:") && !request.startsWith("blob:"),
      ),
    ).toEqual([]);
    const image = await keepScreenshot(page, "view");
    await page.goto("about:blank");
    expect(await countColours(page, image)).toBeGreaterThan(5);
    await page.close();
  });

  it("ends with 0 on Ctrl-C and leaves nothing behind", async () => {
    child.kill("SIGINT");
    expect(await ended).toEqual([0, null]);
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });
});

async function run(...words: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [CLI, ...words]);
}

describe("pages that stand alone", () => {
  it("trace view --html opens from a file, offline", async () => {
    const path = join(folder, "page.html");
    await run("view", input, "--html", path);
    const { page, errors } = await visit(pathToFileURL(path).href);
    expect(Object.values(await exportAgain(page))).toEqual(expect.arrayContaining([40, 60]));
    expect(errors).toEqual([]);
    await keepScreenshot(page, "page");
    await page.close();
  });

  it.each(["svg", "html"])(
    "the %s flame graph zooms, searches and shows hostile names as text",
    async (format) => {
      const path = join(folder, `flame.${format}`);
      await run("convert", input, "-o", path);
      const { page, errors, requests } = await visit(pathToFileURL(path).href);
      const names = await page.locator("g.box title").allTextContents();
      expect(names).toContain('a;b, "c" <b>\\: 60, 60.00%');
      expect(names).toContain("vfs_read [kernel]: 60, 60.00%");
      await keepScreenshot(page, `flame-${format}`);
      const width = async (name: string): Promise<number> =>
        Number(await page.locator(`g.box[data-name="${name}"] rect`).getAttribute("width"));
      expect(await width("spin")).toBeCloseTo(0.4 * 1180, 0);
      await page.locator('g.box[data-name="spin"]').click();
      expect(await width("spin")).toBeCloseTo(1180, 0);
      expect(await page.locator('g.box[data-name="vfs_read"]').isVisible()).toBe(false);
      await page.keyboard.press("Escape");
      expect(await width("spin")).toBeCloseTo(0.4 * 1180, 0);
      page.once("dialog", (dialog) => void dialog.accept("VFS_"));
      await page.locator("#search").click();
      expect(await page.locator("#line").textContent()).toBe("matched 60.00% (overlaps counted once)");
      expect(await page.locator("g.box.hit").count()).toBe(1);
      expect(errors).toEqual([]);
      expect(requests).toHaveLength(1);
      await page.close();
    },
  );
});
