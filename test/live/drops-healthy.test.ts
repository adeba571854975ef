import { describe, expect, test } from "vitest";
import { startIn } from "./support/background.ts";
import { readCounter, untilCounter } from "./support/counters.ts";
import { traceDuring, type TraceRecord, type TraceResult } from "./support/trace.ts";
import { createWorld, type Host, type World } from "./support/world.ts";

const NODE = process.execPath;
/** ADDRESS: an HTTP server; connections close when the client wants it. */
const SERVE = `require("node:http").createServer((q, r) => r.end("x".repeat(2000)))
  .listen(8000, process.argv[1], 4096, () => console.log("ready"))`;
/** ADDRESS COUNT keep|close: COUNT requests, 50 at a time, over connections that are kept or closed after each. Prints how many worked. */
const ASK = `const http = require("node:http"); const [, host, count, mode] = process.argv;
const agent = mode === "keep" ? new http.Agent({ keepAlive: true, maxSockets: 50 }) : false;
let left = Number(count), ok = 0, over = 0;
const next = () => { if (left-- <= 0) { if (++over === 50) { if (agent) agent.destroy(); console.log(ok) } return }
  http.get({ host, port: 8000, agent }, (r) => { r.resume(); r.on("end", () => { ok += 1; next() }) }).on("error", next) };
for (let index = 0; index < 50; index += 1) next()`;
/** Takes one connection after the other and counts what comes; \`end\` answers with the sum. */
const SINK = `require("node:net").createServer({ allowHalfOpen: true }, (s) => { let sum = 0; s.on("data", (b) => { sum += b.length });
  s.on("end", () => s.end(String(sum))) }).listen(8001, "0.0.0.0", () => console.log("ready"))`;
/** ADDRESS MEGABYTES: sends them in one connection and prints how many bytes the other side got. */
const POUR = `const s = require("node:net").connect(8001, process.argv[1]); const b = Buffer.alloc(1 << 20); let left = Number(process.argv[2]);
const more = () => { while (left-- > 0) if (!s.write(b)) return s.once("drain", more); s.end() };
s.on("connect", more); s.on("data", (d) => console.log(String(d)))`;
/** ADDRESS COUNT: connections that end as they do in life: closed, half read, reset, left to the kernel. */
const LEAVE = `const net = require("node:net"); const [, host, count] = process.argv; let open = Number(count);
for (let index = 0; index < Number(count); index += 1) { const s = net.connect(8000, host, () => {
  if (index % 4 === 0) s.end();
  else if (index % 4 === 1) { s.end("GET / HTTP/1.0\\r\\n\\r\\n"); s.resume() }
  else if (index % 4 === 2) { s.write("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"); s.once("data", () => s.destroy()) }
  else s.resetAndDestroy() });
  s.on("error", () => {}); s.on("close", () => { if (--open === 0) process.exit() }) }`;

/** What trace has to say about the two hosts of the test, but for notes. */
async function worriesAbout(world: World, { summary }: TraceResult): Promise<TraceRecord[]> {
  const inodes = await Promise.all([world.client.inode(), world.server.inode()]);
  return (summary["findings"] as TraceRecord[]).filter(
    (finding) => inodes.includes(finding["netns"]?.inode) && finding["severity"] !== "info",
  );
}

/** Drops at the two hosts that are called neither benign nor anything else that is known to be normal. */
async function matteringDrops(host: Host, { summary }: TraceResult): Promise<number> {
  const inode = await host.inode();
  return (summary["flows"] as TraceRecord[])
    .filter((flow) => flow["netns"]?.inode === inode && flow["benign"] === false)
    .reduce((sum, flow) => sum + Number(flow["count"]), 0);
}

const serve = (world: World, address = "0.0.0.0") => startIn(world.server, NODE, "-e", SERVE, address);

describe("a healthy network worries nobody", () => {
  test.each([
    ["keep", 8000],
    ["close", 4000],
  ] as const)(
    "an HTTP server under load, connections %s: %i requests by 50 clients at a time",
    async (mode, count) => {
      await using world = await createWorld();
      await using _server = await serve(world);
      let answered = "";
      const run = await traceDuring(["drops"], async () => {
        answered = await world.client.run(NODE, "-e", ASK, world.server.address, String(count), mode);
      });
      expect(Number(answered)).toBe(count);
      expect(await readCounter(world.server, "TcpPassiveOpens")).toBe(mode === "keep" ? 50 : count);
      expect(await worriesAbout(world, run)).toEqual([]);
      // Thousands of closes free their queues, and segments in TIME-WAIT are dropped: all of it benign.
      expect(await matteringDrops(world.server, run)).toBeLessThan(20);
    },
  );

  test("the same over IPv6", async () => {
    await using world = await createWorld();
    await using _server = await serve(world, "::");
    let answered = "";
    const run = await traceDuring(["drops"], async () => {
      answered = await world.client.run(NODE, "-e", ASK, world.server.address6, "2000", "close");
    });
    expect(Number(answered)).toBe(2000);
    expect(await worriesAbout(world, run)).toEqual([]);
  });

  test("a TCP transfer of 600 MB, with windows that close and open all the time", async () => {
    await using world = await createWorld();
    await using _sink = await startIn(world.server, NODE, "-e", SINK);
    let received = "";
    const run = await traceDuring(["drops"], async () => {
      received = await world.client.run(NODE, "-e", POUR, world.server.address, "600");
    });
    expect(Number(received)).toBe(600 << 20);
    expect(await worriesAbout(world, run)).toEqual([]);
  });

  test("connections that are closed, half read or reset by their clients", async () => {
    await using world = await createWorld();
    await using _server = await serve(world);
    const run = await traceDuring(["drops"], () =>
      world.client.run(NODE, "-e", LEAVE, world.server.address, "80"),
    );
    expect(await readCounter(world.server, "TcpPassiveOpens")).toBe(80);
    expect(await worriesAbout(world, run)).toEqual([]);
  });

  test("a device that comes up: router solicitations, memberships, address detection, ARP", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const run = await traceDuring(["drops"], async () => {
      for (const end of [client, server]) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, as links come up
        await end.run("ip", "link", "set", end.dev, "down");
        // oxlint-disable-next-line no-await-in-loop
        await end.run("ip", "link", "set", end.dev, "up");
        // oxlint-disable-next-line no-await-in-loop
        await end.run("ip", "addr", "add", `${end.address6}9/64`, "dev", end.dev);
      }
      await client.run("ip", "neigh", "flush", "all");
      await untilCounter(client, "Icmp6OutRouterSolicits", 1);
      await untilCounter(server, "Icmp6OutRouterSolicits", 1);
    });
    expect(await worriesAbout(world, run)).toEqual([]);
  });
});
