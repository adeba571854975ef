import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createRecordCheck } from "../support/schema.ts";
import { paste } from "./support/firewall.ts";
import { startTrace, traceDuring, type TraceRecord, type TraceResult } from "./support/trace.ts";
import { createWorld, type Host } from "./support/world.ts";

/** Listens on a port with a backlog; reads every connection to its end, or never accepts one. */
const SERVER = `use Socket qw(:all); my($port,$backlog,$mode)=@ARGV; $|=1; $SIG{CHLD}='IGNORE';
socket(my $l,PF_INET6,SOCK_STREAM,6) or die; setsockopt($l,SOL_SOCKET,SO_REUSEADDR,1);
bind($l,pack_sockaddr_in6($port,IN6ADDR_ANY)) or die; listen($l,$backlog); print "up\\n";
if($mode eq 'deaf'){ sleep 60; exit }
while(accept(my $c,$l)){ next if fork; 1 while sysread($c,my $b,65536); print $c 'ok'; exit }`;

/** Sends that many bytes and waits for the answer; gives up after some seconds. Prints what became of it. */
const CLIENT = `use Socket qw(:all); my($ip,$port,$n,$limit)=@ARGV; my $six=$ip=~/:/; $SIG{PIPE}='IGNORE'; $SIG{ALRM}=sub{print "late\\n"; exit}; alarm $limit;
socket(my $s,$six?PF_INET6:PF_INET,SOCK_STREAM,6) or die;
if(!connect($s,$six?pack_sockaddr_in6($port,inet_pton(AF_INET6,$ip)):sockaddr_in($port,inet_aton($ip)))){ print "failed $!\\n"; exit }
my $m='x' x 65536; while($n>0){my $w=syswrite($s,$m,$n<65536?$n:65536); last if !$w; $n-=$w} shutdown($s,1); sysread($s,my $b,9); print "$b\\n";`;

async function startServer(host: Host, port: number, backlog = 64, mode = "read"): Promise<AsyncDisposable> {
  const child = spawn(
    "ip",
    ["netns", "exec", host.netns, "perl", "-e", SERVER, String(port), String(backlog), mode],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(child.stdout, "data");
  return {
    async [Symbol.asyncDispose]() {
      const over = once(child, "exit");
      child.kill("SIGKILL");
      await over;
    },
  };
}

function connect(from: Host, address: string, port: number, bytes: number, limit: number): Promise<string> {
  return from.run("perl", "-e", CLIENT, address, String(port), String(bytes), String(limit));
}

/** Opens connections and ends each at once, with SO_LINGER of 0 seconds. */
const ABORTER = `use Socket qw(:all); my($ip,$port,$n)=@ARGV; $0='aborter';
for(1..$n){ socket(my $s,PF_INET,SOCK_STREAM,6) or die; connect($s,sockaddr_in($port,inet_aton($ip))) or die;
setsockopt($s,SOL_SOCKET,SO_LINGER,pack('ii',1,0)); close $s }`;

/** RetransSegs of `/proc/net/snmp` in that namespace. */
async function readRetransSegs(host: Host): Promise<number> {
  const [names = "", values = ""] = (await host.run("cat", "/proc/net/snmp"))
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"));
  return Number(values.split(" ")[names.split(" ").indexOf("RetransSegs")]);
}

function segmentsIn(summary: TraceRecord, inode: number): number {
  return (summary["flows"] as { netns: { inode: number } | null; segments: number }[])
    .filter((row) => row.netns?.inode === inode)
    .reduce((sum, row) => sum + row.segments, 0);
}

function findingsOf({ summary }: TraceResult): {
  id: string;
  severity: string;
  count: number;
  evidence: string[];
  fix: string[];
  rule?: { text: string };
}[] {
  return summary["findings"];
}

interface Speedscope {
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
  readonly profiles: readonly { readonly name: string; readonly samples: readonly (readonly number[])[] }[];
}

/** The stacks of the profile: kind, and the functions below it. */
async function readKinds(file: string): Promise<[string, Set<string>][]> {
  const { shared, profiles } = JSON.parse(await readFile(file, "utf8")) as Speedscope;
  const stacks = profiles.find(({ name }) => name.includes("segments sent again"))?.samples ?? [];
  expect(stacks.length).toBeGreaterThan(0);
  return stacks.map((stack) => {
    const [, kind = "", ...functions] = stack.map((index) => shared.frames[index]?.name ?? "");
    return [kind, new Set(functions)];
  });
}

/** Both ends of a world, by a port that nothing else on this machine uses. */
const PORT = 7431;
const ARGS = ["retrans", "--port", String(PORT)];

describe("trace retrans counts exactly", () => {
  test("segments are the kernel's RetransSegs at both ends, over IPv4, IPv6 and a rule that drops at random", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run(
      "ip6tables",
      "-A",
      "INPUT",
      "-p",
      "tcp",
      "--dport",
      String(PORT),
      "-m",
      "statistic",
      "--mode",
      "random",
      "--probability",
      "0.03",
      "-j",
      "DROP",
    );
    await server.run(
      "iptables",
      "-A",
      "INPUT",
      "-p",
      "tcp",
      "--dport",
      String(PORT),
      "-m",
      "statistic",
      "--mode",
      "random",
      "--probability",
      "0.03",
      "-j",
      "DROP",
    );
    await using _server = await startServer(server, PORT);
    const before = await Promise.all([client, server].map(readRetransSegs));
    const result = await traceDuring(ARGS, async () => {
      expect(await connect(client, server.address, PORT, 10_000_000, 20)).toBe("ok\n");
      expect(await connect(client, server.address6, PORT, 10_000_000, 20)).toBe("ok\n");
    });
    const after = await Promise.all([client, server].map(readRetransSegs));
    const { summary } = result;
    expect(summary["lost"]).toBe(0);
    const moved = after.map((value, index) => value - (before[index] ?? 0));
    expect(moved[0]).toBeGreaterThan(0);
    expect([segmentsIn(summary, await client.inode()), segmentsIn(summary, await server.inode())]).toEqual(
      moved,
    );
    const families = new Set(summary["flows"].map((row: { family: string }) => row.family));
    expect(families).toEqual(new Set(["ipv4", "ipv6"]));
    const named = findingsOf(result).filter(({ rule }) => rule?.text.includes("--probability"));
    expect(named.length).toBeGreaterThan(0);
    for (const finding of named)
      expect(finding.evidence.join("\n")).toContain("this host did it, not the network");
    const check = await createRecordCheck("retrans");
    for (const record of result.records) expect(check(record)).toEqual([]);
  });

  test("the kind is what the kernel's stack says", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run(
      "iptables",
      "-A",
      "INPUT",
      "-p",
      "tcp",
      "--dport",
      String(PORT),
      "-m",
      "statistic",
      "--mode",
      "random",
      "--probability",
      "0.2",
      "-j",
      "DROP",
    );
    await using _server = await startServer(server, PORT);
    await using folder = await mkdtempDisposable(join(tmpdir(), "trace-retrans-"));
    const file = join(folder.path, "profile.json");
    await using run = startTrace([...ARGS, "--events", "-o", file]);
    await run.ready();
    // Short transfers end in loss probes and timeouts, long ones in fast retransmits.
    for (const bytes of [100, 3000, 100, 3000, 100, 500_000])
      await connect(client, server.address, PORT, bytes, 6);
    const { records, summary } = await run.stop();
    for (const [kind, functions] of await readKinds(file)) {
      const isTimer = functions.has("tcp_retransmit_timer");
      const isProbe = functions.has("tcp_send_loss_probe");
      expect({ kind, isTimer, isProbe }).toEqual({
        kind,
        isTimer: kind === "rto" || kind === "syn",
        isProbe: kind === "tlp",
      });
      expect(kind).not.toBe("other");
    }
    const kinds = Object.entries(summary["retransmits"].byKind as Record<string, number>);
    expect(kinds.filter(([, segments]) => segments > 0).length).toBeGreaterThan(1);
    const events = records.filter(({ type }) => type === "retransmit");
    expect(events.reduce((sum, event) => sum + event["segments"], 0)).toBe(summary["retransmits"].segments);
    const check = await createRecordCheck("retrans");
    for (const record of records) expect(check(record)).toEqual([]);
  });
});

describe("trace retrans says why", () => {
  test("a peer that does not answer", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    // Somebody answers for the address (a neighbour entry) and nobody takes its packets.
    const dead = server.address.replace(/\d+$/, "77");
    await client.run("ip", "neigh", "add", dead, "lladdr", "02:00:00:00:00:77", "dev", client.dev);
    const result = await traceDuring(ARGS, () => connect(client, dead, PORT, 1, 4));
    const [finding] = findingsOf(result).filter(({ id }) => id === "retrans-no-answer");
    expect(finding?.count).toBe(result.summary["retransmits"].byKind.syn);
    expect(finding?.count).toBeGreaterThanOrEqual(1);
    expect(result.summary["flows"][0]).toMatchObject({
      kind: "syn",
      state: "SYN_SENT",
      comm: "perl",
      destination: dead,
    });
  });

  test("a closed port: as many resets sent and received as attempts", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const result = await traceDuring(ARGS, async () => {
      for (let index = 0; index < 6; index += 1) await connect(client, server.address, PORT, 1, 4);
      for (let index = 0; index < 4; index += 1) await connect(client, server.address6, PORT, 1, 4);
    });
    expect(result.summary["resets"]).toEqual({ sent: 10, received: 10 });
    const sent = result.summary["resetFlows"].filter(
      (row: { direction: string }) => row.direction === "sent",
    );
    for (const row of sent)
      expect(row).toMatchObject({
        sourcePort: PORT,
        reason: "NO_SOCKET",
        netns: { inode: await server.inode() },
      });
    expect(findingsOf(result)).toContainEqual(
      expect.objectContaining({ id: "reset-closed-port", count: 10 }),
    );
  });

  test("a full accept queue, from another host and over loopback", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using _server = await startServer(server, PORT, 1, "deaf");
    const result = await traceDuring(ARGS, () =>
      Promise.all([
        ...Array.from({ length: 5 }, () => connect(client, server.address, PORT, 1, 4)),
        ...Array.from({ length: 3 }, () => connect(server, "127.0.0.1", PORT, 1, 4)),
      ]),
    );
    const ids = findingsOf(result).map(({ id }) => id);
    expect(ids.some((id) => id.includes("accept-queue"))).toBe(true);
    expect(ids).not.toContain("retrans-no-answer");
    expect(ids).not.toContain("retrans-path-loss");
  });

  test("resets: the program that ends connections at once, and the rule that refuses them", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const reject = ["-p", "tcp", "--dport", String(PORT + 1), "-j", "REJECT", "--reject-with", "tcp-reset"];
    await server.run("iptables", "-A", "INPUT", ...reject);
    await using _server = await startServer(server, PORT);
    const result = await traceDuring(["retrans", "--host", server.address, "--events"], async () => {
      await client.run("perl", "-e", ABORTER, server.address, String(PORT), "6");
      for (let index = 0; index < 6; index += 1) await connect(client, server.address, PORT + 1, 1, 4);
    });
    const { summary } = result;
    // The rule's resets are sent by no socket: they are only received.
    expect(summary["resets"]).toEqual({ sent: 6, received: 12 });
    const sent = summary["resetFlows"].filter((row: { direction: string }) => row.direction === "sent");
    expect(sent).toHaveLength(6);
    for (const row of sent) {
      // A closed socket has given back its port and is in no table of /proc.
      expect(row).toMatchObject({ comm: "aborter", destinationPort: PORT, state: "CLOSE" });
      expect(row.sourcePort).toBeGreaterThan(0);
    }
    expect(result.records.filter(({ type }) => type === "reset")).toHaveLength(18);
    const rule = findingsOf(result).find(({ id }) => id === "reset-by-rule");
    expect(rule).toMatchObject({ severity: "problem", count: 6, rule: { chain: "INPUT", number: 1 } });
    expect(findingsOf(result)).toContainEqual(expect.objectContaining({ id: "reset-abort", count: 6 }));
    expect(findingsOf(result).filter(({ severity }) => severity === "problem")).toHaveLength(1);
    for (const command of rule?.fix ?? []) await paste(command);
    expect(await server.run("iptables", "-S", "INPUT")).not.toContain("REJECT");
    const check = await createRecordCheck("retrans");
    for (const record of result.records) expect(check(record)).toEqual([]);
  });

  test("a shaper that drops on this host", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await client.run(
      "tc",
      "qdisc",
      "add",
      "dev",
      client.dev,
      "root",
      "tbf",
      "rate",
      "20mbit",
      "burst",
      "16kb",
      "limit",
      "20kb",
    );
    await using _server = await startServer(server, PORT);
    const before = await readRetransSegs(client);
    const result = await traceDuring(ARGS, () => connect(client, server.address, PORT, 4_000_000, 20));
    const moved = (await readRetransSegs(client)) - before;
    expect(moved).toBeGreaterThan(0);
    expect(segmentsIn(result.summary, await client.inode())).toBe(moved);
    const told = findingsOf(result).filter(({ evidence }) =>
      evidence.join("\n").includes("this host did it, not the network"),
    );
    expect(told.length).toBeGreaterThan(0);
    expect(findingsOf(result).map(({ id }) => id)).not.toContain("retrans-path-loss");
  });
});
