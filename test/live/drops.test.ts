import { describe, expect, test } from "vitest";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { sh } from "./support/shell.ts";
import { startTrace, traceDuring, type TraceRecord } from "./support/trace.ts";
import { createRecordCheck } from "../support/schema.ts";
import { createWorld, type Host } from "./support/world.ts";

/** Sends `count` datagrams of `size` bytes as fast as it can; perl-base is on every Debian. */
const FLOOD = `use Socket; my ($ip,$port,$n,$size)=@ARGV;
socket(my $s,PF_INET,SOCK_DGRAM,17) or die; connect($s,sockaddr_in($port,inet_aton($ip))) or die;
my $m='x' x $size; for(my $i=0;$i<$n;$i++){send($s,$m,0)}`;

/** `count` datagrams to `ports` ports from one socket, IPv4 or IPv6. */
const SPREAD = `use Socket qw(:all); my ($ip,$first,$ports,$count)=@ARGV; my $six=$ip=~/:/;
socket(my $s,$six?PF_INET6:PF_INET,SOCK_DGRAM,17) or die;
for(my $i=0;$i<$count;$i++){my $p=$first+$i%$ports; send($s,'x',0,$six?pack_sockaddr_in6($p,inet_pton(AF_INET6,$ip)):sockaddr_in($p,inet_aton($ip)))}`;

/** Datagrams of three lengths in turn to each of `ports`, from one socket that is bound to `from`, on one CPU. */
const FLOODS = `use Socket; my ($ip,$from,$n,@ports)=@ARGV;
socket(my $s,PF_INET,SOCK_DGRAM,17) or die; bind($s,sockaddr_in($from,INADDR_ANY)) or die;
for(my $i=0;$i<$n;$i++){send($s,'x' x (10+10*($i%3)),0,sockaddr_in($_,inet_aton($ip))) for @ports}`;

const CLI = join(import.meta.dirname, "..", "..", "src", "cli.ts");
const send = (from: Host, address: string, port: number, count: number, ports = 1) =>
  from.run("perl", "-e", SPREAD, address, String(port), String(ports), String(count));
const dropPort = (host: Host, table: string, chain: string, port: string) =>
  host.run("iptables", "-t", table, "-A", chain, "-p", "udp", "--dport", port, "-j", "DROP");
const netfilter = (record: TraceRecord) =>
  record["flows"].filter((row: { reason: string }) => row.reason === "NETFILTER_DROP");

describe("trace drops counts exactly", () => {
  test("400,000 drops by one rule are 400,000, packets and bytes as the rule's own counter", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await dropPort(server, "filter", "INPUT", "9999");
    const { summary, code } = await traceDuring(["drops", "--netns", server.netns], () =>
      client.run("perl", "-e", FLOOD, server.address, "9999", "400000", "64"),
    );
    const counter = /(\d+)\s+(\d+)\s+DROP/.exec(await server.run("iptables", "-L", "INPUT", "-vnx"));
    expect(counter?.slice(1)).toEqual(["400000", String(400_000 * 92)]);
    expect(code).toBe(0);
    expect(summary["drops"].byReason["NETFILTER_DROP"]).toBe(400_000);
    expect(summary["unattributed"]).toBe(0);
    expect(summary["lost"]).toBe(0);
    const [row] = netfilter(summary);
    expect(row).toMatchObject({
      hook: "INPUT",
      proto: "udp",
      source: client.address,
      destination: server.address,
      destinationPort: 9999,
      dev: server.dev,
      netns: { inode: await server.inode(), name: server.netns },
      count: 400_000,
      bytes: 400_000 * 92,
    });
  });

  test("floods of several flows, lengths, reasons and hooks on two CPUs: every flow has its own packets and bytes", async () => {
    const PACKETS = 30_000;
    const SENDERS = [5001, 5002];
    await using world = await createWorld();
    const { client, server } = world;
    await dropPort(server, "filter", "INPUT", "9001");
    await dropPort(server, "raw", "PREROUTING", "9002");
    await dropPort(client, "filter", "OUTPUT", "9003");
    const directory = await mkdtemp(join(tmpdir(), "trace-floods-"));
    try {
      const recording = join(directory, "floods.trace");
      const { summary } = await traceDuring(["drops", "--proto", "udp", "--record", recording], () =>
        Promise.all(
          SENDERS.map((from, cpu) =>
            client.run(
              "taskset",
              "-c",
              String(cpu % availableParallelism()),
              "perl",
              "-e",
              FLOODS,
              server.address,
              String(from),
              String(PACKETS),
              "9001",
              "9002",
              "9003",
              "9004",
            ),
          ),
        ),
      );
      const expected = [
        { reason: "NETFILTER_DROP", hook: "INPUT", destinationPort: 9001, dev: server.dev },
        { reason: "NETFILTER_DROP", hook: "PREROUTING", destinationPort: 9002, dev: server.dev },
        { reason: "NETFILTER_DROP", hook: "OUTPUT", destinationPort: 9003, dev: null },
        { reason: "NO_SOCKET", hook: null, destinationPort: 9004, dev: server.dev },
      ].flatMap((flow) =>
        SENDERS.map((sourcePort) => ({ ...flow, sourcePort, count: PACKETS, bytes: PACKETS * (28 + 20) })),
      );
      const rows = summary["flows"]
        .filter((row: { destination: string }) => row.destination === server.address)
        .map(({ reason, hook, destinationPort, dev, sourcePort, count, bytes }: TraceRecord) => ({
          reason,
          hook,
          destinationPort,
          dev,
          sourcePort,
          count,
          bytes,
        }));
      const order = (a: { destinationPort: number; sourcePort: number }, b: typeof a) =>
        a.destinationPort - b.destinationPort || a.sourcePort - b.sourcePort;
      expect(rows.toSorted(order)).toEqual(expected.toSorted(order));
      expect(summary["lost"]).toBe(0);
      // The floods were counted in scalars, or this test would say nothing about them.
      expect(gunzipSync(await readFile(recording)).toString()).toMatch(/@flood_\d+[^a-z]*: [1-9]\d{3}/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("more flows than the table holds: the total stays exact, the rest is unattributed", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    const { summary } = await traceDuring(["drops", "--netns", server.netns, "--proto", "udp"], () =>
      send(client, server.address, 1, 60_000, 40_000),
    );
    expect(summary["drops"].total).toBe(60_000);
    expect(summary["unattributed"]).toBeGreaterThan(10_000);
    const attributed = summary["flows"].reduce((sum: number, row: { count: number }) => sum + row.count, 0);
    expect(attributed + summary["unattributed"]).toBe(60_000);
  });

  test("intervals add up to the summary, and every record fits its schema", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    const { records, summary } = await traceDuring(
      ["drops", "--netns", server.netns, "--proto", "udp", "-i", "100ms"],
      async () => {
        for (let round = 0; round < 5; round += 1) await send(client, server.address, 9000, 1000, 10);
      },
    );
    const check = await createRecordCheck("drops");
    for (const record of records) expect(check(record)).toEqual([]);
    const intervals = records.filter((record) => record.type === "interval");
    expect(intervals.reduce((sum, record) => sum + record["drops"], 0)).toBe(5000);
    expect(intervals.reduce((sum, record) => sum + record["bytes"], 0)).toBe(summary["drops"].bytes);
    expect(summary["drops"]).toMatchObject({ total: 5000, bytes: 5000 * 29 });
  });
});

describe("trace drops sees every kind of packet", () => {
  test("IPv6, with ports, hook and namespace", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("ip6tables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    const { summary } = await traceDuring(["drops", "--netns", server.netns, "--proto", "udp"], () =>
      send(client, server.address6, 5353, 50),
    );
    expect(netfilter(summary)).toMatchObject([
      {
        hook: "INPUT",
        proto: "udp",
        source: client.address6,
        destination: server.address6,
        destinationPort: 5353,
        dev: server.dev,
        count: 50,
        bytes: 50 * 49,
      },
    ]);
  });

  test("local output, which has no device yet, has its namespace and hook; FORWARD and PREROUTING have theirs", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await dropPort(client, "filter", "OUTPUT", "7001");
    await dropPort(server, "raw", "PREROUTING", "7002");
    await dropPort(server, "filter", "FORWARD", "7003");
    await dropPort(server, "mangle", "POSTROUTING", "7004");
    await server.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
    await server.run("ip", "addr", "add", "192.0.2.1/24", "dev", "lo");
    await client.run("ip", "route", "add", "198.51.100.0/24", "via", server.address);
    await server.run("ip", "route", "add", "198.51.100.0/24", "dev", server.dev);
    const { summary } = await traceDuring(["drops", "--proto", "udp", "--host", "10.83.0.0/16"], async () => {
      await send(client, server.address, 7001, 10);
      await send(client, server.address, 7002, 20);
      await send(client, "198.51.100.7", 7003, 30);
      await send(server, client.address, 7004, 40);
    });
    const byPort = new Map(
      netfilter(summary).map((row: { destinationPort: number }) => [row.destinationPort, row]),
    );
    expect(byPort.get(7001)).toMatchObject({
      hook: "OUTPUT",
      dev: null,
      count: 10,
      netns: { name: client.netns },
    });
    expect(byPort.get(7002)).toMatchObject({
      hook: "PREROUTING",
      dev: server.dev,
      count: 20,
      netns: { name: server.netns },
    });
    expect(byPort.get(7003)).toMatchObject({ hook: "FORWARD", count: 30, netns: { name: server.netns } });
    expect(byPort.get(7004)).toMatchObject({
      hook: "POSTROUTING",
      dev: server.dev,
      count: 40,
      netns: { name: server.netns },
    });
  });

  test("--events: one record per drop, in time, with flags, length and a name", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "81", "-j", "DROP");
    const before = Date.now();
    const { records, summary } = await traceDuring(
      ["drops", "--events", "--netns", server.netns, "--proto", "tcp"],
      () =>
        client.run(
          "perl",
          "-MSocket",
          "-e",
          `socket(my $s,PF_INET,SOCK_STREAM|2048,6); connect($s,sockaddr_in(81,inet_aton("${server.address}")))`,
        ),
    );
    const events = records.filter((record) => record.type === "drop");
    const check = await createRecordCheck("drops");
    for (const record of events) expect(check(record)).toEqual([]);
    expect(events.length).toBe(summary["drops"].total);
    expect(events[0]).toMatchObject({
      reason: "NETFILTER_DROP",
      location: "nft_do_chain",
      hook: "INPUT",
      tcpFlags: "SYN",
      length: 60,
      destinationPort: 81,
      comm: "perl",
      dev: server.dev,
      netns: { name: server.netns },
    });
    expect(Math.abs(Date.parse(events[0]?.time ?? "") - before)).toBeLessThan(30_000);
  });
});

describe("trace drops filters in the kernel", () => {
  test("each filter counts only what matches", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    await server.run("ip6tables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    const runs = [
      { args: ["--port", "6001"], count: 11 },
      { args: ["--host", server.address, "--proto", "udp"], count: 33 },
      { args: ["--host", `${server.address6}/64`, "--proto", "udp"], count: 44 },
      { args: ["--dev", server.dev, "--proto", "udp"], count: 77 },
      { args: ["--reason", "NETFILTER_DROP,NO_SOCKET", "--proto", "udp"], count: 77 },
      { args: ["--reason", "NO_SOCKET", "--proto", "udp"], count: 0 },
      { args: ["--proto", "tcp"], count: 0 },
    ].map(({ args, count }) => ({
      count,
      run: startTrace(["drops", "--no-profile", "--netns", server.netns, ...args]),
    }));
    await Promise.all(runs.map(({ run }) => run.ready()));
    await send(client, server.address, 6001, 11);
    await send(client, server.address, 6002, 22);
    await send(client, server.address6, 6003, 44);
    const ends = await Promise.all(runs.map(({ run }) => run.stop()));
    expect(ends.map((end) => end.summary["drops"].total)).toEqual(runs.map((run) => run.count));
  });

  test("a device that is nowhere, or in another namespace, is refused with the nearest there are", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const refuse = async (...filters: string[]) => {
      await using run = startTrace(["drops", "--no-profile", ...filters]);
      // Awaited here: leaving the block ends the run.
      return await run.done;
    };
    const [nowhere, elsewhere] = await Promise.all([
      refuse("--dev", `${server.dev}x`),
      refuse("--dev", server.dev, "--netns", client.netns),
    ]);
    expect(nowhere.code).toBe(2);
    expect(nowhere.stderr).toContain(`there is no network device "${server.dev}x"\n  why: the nearest: `);
    expect(nowhere.stderr).toContain(server.dev);
    expect(elsewhere.code).toBe(2);
    expect(elsewhere.stderr).toContain(`in namespace "${client.netns}"`);
    expect(elsewhere.stderr).toContain(`try: ip netns exec ${client.netns} ip -br link`);
  });
});

describe("what trace drops leaves behind", () => {
  test("a profile that opens and adds up, and a recording that gives the same report byte for byte", async () => {
    const folder = await mkdtemp(join(tmpdir(), "trace-test-"));
    try {
      await using world = await createWorld();
      const { client, server } = world;
      await server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
      const path = join(folder, "p.speedscope.json");
      const recording = join(folder, "r.gz");
      const live = sh(
        process.execPath,
        CLI,
        "drops",
        "-d",
        "2s",
        "--netns",
        server.netns,
        "--proto",
        "udp",
        "--record",
        recording,
        "-o",
        path,
      );
      // The recording's first bytes are on disk when the program is about to start; traffic goes on until the run is over.
      let isOver = false;
      void live.finally(() => (isOver = true));
      while (!isOver) await send(client, server.address, 9000, 50, 5);
      const report = await live;
      const document = JSON.parse(await readFile(path, "utf8"));
      expect(report).toContain("NETFILTER_DROP");
      const [packets, bytes] = document.profiles;
      const sum = (weights: number[]) => weights.reduce((a, b) => a + b, 0);
      expect([packets.unit, bytes.unit]).toEqual(["none", "bytes"]);
      expect(sum(bytes.weights)).toBe(sum(packets.weights) * 29);
      expect(document.shared.frames.map((frame: { name: string }) => frame.name)).toEqual(
        expect.arrayContaining(["NETFILTER_DROP", `${server.netns} ${server.dev}`, "nft_do_chain"]),
      );
      const replayed = await sh("setpriv", "--reuid", "0", process.execPath, CLI, "replay", recording);
      expect(replayed).toBe(report);
      const bytesOfRecording = await readFile(recording);
      const { writeFile } = await import("node:fs/promises");
      await writeFile(
        join(folder, "cut.gz"),
        bytesOfRecording.subarray(0, Math.floor(bytesOfRecording.length * 0.7)),
      );
      const cut = await sh(
        process.execPath,
        CLI,
        "replay",
        join(folder, "cut.gz"),
        "--no-profile",
        "--format",
        "json",
      );
      const records = cut
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as TraceRecord);
      expect(records.some((record) => record["code"] === "truncated")).toBe(true);
      expect(records.at(-1)?.type).toBe("summary");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("trace script prints a program that plain bpftrace runs", async () => {
    const program = await sh(
      process.execPath,
      CLI,
      "script",
      "drops",
      "--port",
      "53",
      "--host",
      "10.0.0.0/8",
    );
    const { execFile } = await import("node:child_process");
    const out = await new Promise<string>((resolve, reject) => {
      const child = execFile("bpftrace", ["-"], { timeout: 20_000 }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
      child.stdin?.end(program.replace('printf("trace:ready\\n");', 'printf("trace:ready\\n"); exit();'));
    });
    expect(out).toContain("trace:ready");
  });
});
