import { randomBytes, timingSafeEqual } from "node:crypto";
import { createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { EXIT, TraceError } from "../error.ts";
import { readErrorCode } from "../files/write-error.ts";
import type { ViewerAssets } from "./assets.ts";
import { SERVER_POLICY } from "./policy.ts";

const LOOPBACK = "127.0.0.1";

export interface ViewServer {
  /** The page that shows the profile. Its path cannot be guessed: other users of this machine cannot read the profile. */
  readonly url: string;
  readonly port: number;
  close(this: void): Promise<void>;
}

export interface ServedProfile {
  /** Shown by the viewer. */
  readonly name: string;
  /** Held open, so that it is this file that is served and no other that takes its name. */
  readonly file: FileHandle;
}

/**
 * Serves the viewer and one profile on the loopback address, at `port` (0: any). It answers GET only, only under its own random path,
 * and only if the Host header names this server, so that no web page can reach it through a name of its own.
 */
export async function startViewServer(
  assets: ViewerAssets,
  profile: ServedProfile,
  port = 0,
): Promise<ViewServer> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((request, response) => {
    answer(server, request, response, assets, profile, token).catch(() => response.destroy());
  });
  const used = await listen(server, port);
  const base = `http://${LOOPBACK}:${used}/${token}/`;
  const source = encodeURIComponent(`/${token}/profile/${encodeURIComponent(profile.name)}`);
  return {
    // Time order means nothing for most profiles: the heaviest paths first is what answers "where does it go".
    url: `${base}#profileURL=${source}&view=left-heavy`,
    port: used,
    close: () => closeServer(server),
  };
}

async function answer(
  server: Server,
  request: IncomingMessage,
  response: ServerResponse,
  assets: ViewerAssets,
  profile: ServedProfile,
  token: string,
): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  if (!isOwnHost(server, request.headers.host)) return refuse(response, 421, "wrong host");
  if (request.method !== "GET") {
    response.setHeader("Allow", "GET");
    return refuse(response, 405, "only GET");
  }
  // Never decoded: the only names that exist are ours, in the form in which we gave them out.
  const [path = ""] = (request.url ?? "").split("?");
  const [, given = "", ...rest] = path.split("/");
  if (!isSame(given, token)) return refuse(response, 404, "not found");
  const name = rest.join("/");
  if (name === `profile/${encodeURIComponent(profile.name)}`) return sendProfile(response, profile);
  const asset = assets.files.get(name === "" ? "index.html" : name);
  if (asset === undefined) return refuse(response, 404, "not found");
  response.setHeader("Content-Type", asset.type);
  response.setHeader("Content-Length", asset.body.length);
  response.end(asset.body);
}

const HEADERS = {
  "Content-Security-Policy": SERVER_POLICY,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
};

async function sendProfile(response: ServerResponse, profile: ServedProfile): Promise<void> {
  const { size } = await profile.file.stat();
  response.setHeader("Content-Type", "application/octet-stream");
  response.setHeader("Content-Length", size);
  if (size === 0) {
    response.end();
    return;
  }
  const stream = createReadStream("", { fd: profile.file, start: 0, end: size - 1, autoClose: false });
  pipeline(stream, response, () => {});
}

/** `localhost` reaches us too, and is what a tunnel's user may type. */
function isOwnHost(server: Server, host: string | undefined): boolean {
  const address = server.address();
  if (address === null || typeof address === "string") return false;
  return host === `${LOOPBACK}:${address.port}` || host === `localhost:${address.port}`;
}

function isSame(given: string, token: string): boolean {
  const one = Buffer.from(given);
  const two = Buffer.from(token);
  return one.length === two.length && timingSafeEqual(one, two);
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(`${text}\n`);
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const used = readErrorCode(error) === "EADDRINUSE";
      reject(
        new TraceError(EXIT.failed, `cannot listen on ${LOOPBACK}:${port}`, {
          why: used ? "the port is in use" : error.message,
          hint: "leave out --port: a free one is chosen",
          cause: error,
        }),
      );
    });
    server.listen({ host: LOOPBACK, port, exclusive: true }, () => {
      const address = server.address();
      resolve(address === null || typeof address === "string" ? port : address.port);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
