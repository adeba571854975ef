import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { request, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeAccess } from "../../../src/commands/view.ts";
import { loadAssets } from "../../../src/view-server/assets.ts";
import { isOwnPage, printPage } from "../../../src/view-server/page.ts";
import { startViewServer, type ViewServer } from "../../../src/view-server/server.ts";

const folder = mkdtempSync(join(tmpdir(), "trace-server-"));
const assets = loadAssets();
let server: ViewServer;
let file: FileHandle;
let path = "";

beforeAll(async () => {
  const profile = join(folder, "profile");
  writeFileSync(profile, '{"x":1}');
  file = await open(profile, "r");
  server = await startViewServer(assets, { name: "a b&c.json", file });
  path = new URL(server.url).pathname;
});
afterAll(async () => {
  await server.close();
  await file.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

function ask(target: string, options: { method?: string; host?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = "GET", host = `127.0.0.1:${server.port}` } = options;
    const sent = request(
      { host: "127.0.0.1", port: server.port, path: target, method, headers: { host } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    sent.on("error", reject).end();
  });
}

describe("the viewer's server", () => {
  it("serves the viewer and the profile under its own path", async () => {
    const source = decodeURIComponent(/profileURL=([^&]*)/.exec(server.url)?.[1] ?? "");
    expect(await ask(source)).toMatchObject({ status: 200, body: '{"x":1}' });
    const page = await ask(path);
    expect(page.status).toBe(200);
    for (const name of [assets.script, assets.style]) {
      expect(page.body).toContain(name);
      expect((await ask(path + name)).status).toBe(200);
    }
    expect(page.headers["content-security-policy"]).toContain(
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'",
    );
  });

  it("has a path that cannot be guessed, and another one each time", async () => {
    expect(path).toMatch(/^\/[\w-]{32}\/$/);
    const second = await startViewServer(assets, { name: "x", file });
    expect(new URL(second.url).pathname).not.toBe(path);
    await second.close();
  });

  it.each(["/", "/index.html", "/favicon.ico", `/${"x".repeat(32)}/`])(
    "shows nothing at %s",
    async (target) => {
      expect(await ask(target)).toMatchObject({ status: 404, body: "not found\n" });
    },
  );

  it.each([
    "../package.json",
    "..%2fpackage.json",
    "profile/",
    "profile/other.json",
    "release.txt",
    "profile/../index.html",
  ])("serves only what it was started for, not %s", async (name) => {
    expect((await ask(path + name)).status).toBe(404);
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])("refuses %s", async (method) => {
    expect(await ask(path, { method })).toMatchObject({ status: 405 });
  });

  it.each(["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1"])(
    "refuses the host %j",
    async (host) => {
      expect((await ask(path, { host })).status).not.toBe(200);
    },
  );

  it("answers to localhost, which is what a tunnel's user may type", async () => {
    expect((await ask(path, { host: `localhost:${server.port}` })).status).toBe(200);
  });

  it("says when its port is taken", async () => {
    await expect(startViewServer(assets, { name: "x", file }, server.port)).rejects.toMatchObject({
      why: "the port is in use",
    });
  });
});

describe("a page that holds everything", () => {
  const name = `x</script><script>"'.json`;
  const body = Buffer.from('{"profile":"ä"}');
  const chunks: string[] = [];
  printPage(assets, { name, body }, (chunk) => void chunks.push(chunk.toString()));
  const page = chunks.join("");

  it("holds the profile, packed", () => {
    const packed = /<script type="text\/plain" id="profile">([^<]*)</.exec(page)?.[1] ?? "";
    expect(gunzipSync(Buffer.from(packed, "base64"))).toEqual(body);
  });

  it("lets its own two scripts run and nothing else", () => {
    const scripts = [...page.matchAll(/<script>(.*?)<\/script>/gs)].map((match) => match[1] ?? "");
    expect(scripts).toHaveLength(2);
    for (const script of scripts) {
      expect(page).toContain(`'sha256-${createHash("sha256").update(script).digest("base64")}'`);
    }
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/(?:src|href)="(?!data:)/);
    expect(page).not.toMatch(/url\("?\.\//);
  });

  it("carries the viewer's licence, and is known as ours", () => {
    expect(page).toContain("Permission is hereby granted, free of charge");
    expect(isOwnPage(Buffer.from(page))).toBe(true);
  });
});

describe("how to get there", () => {
  it("names the tunnel over SSH and without a display, the browser otherwise", () => {
    const ssh = describeAccess(4000, false, {
      SSH_CONNECTION: "10.0.0.9 51000 10.0.0.2 22",
      SUDO_USER: "ann",
      DISPLAY: ":0",
    });
    expect(ssh).toContain("ssh -N -L 4000:127.0.0.1:4000 ann@10.0.0.2");
    expect(describeAccess(4000, false, {})).toContain("ssh -N -L 4000:127.0.0.1:4000");
    expect(describeAccess(4000, true, { DISPLAY: ":0" })).toBe(
      "Shown in a browser. Ctrl-C ends the viewer.\n",
    );
  });
});
