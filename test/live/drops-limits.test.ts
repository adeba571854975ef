import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startIn } from "./support/background.ts";
import { firewallFindings } from "./support/firewall.ts";
import { untilCounter, readCounter } from "./support/counters.ts";
import {
  evidenceOf,
  findingAt,
  findingsAt,
  rowsAt,
  sendFrames,
  sendTo,
  traceDrops,
} from "./support/network.ts";
import { withSettings } from "./support/settings.ts";
import { createWorld, type Host } from "./support/world.ts";

const perl = (host: Host, program: string, ...args: (string | number)[]) =>
  host.run("perl", "-e", program, ...args.map(String));
/** ADDRESS PORT: binds a UDP socket with room for all and never reads it (SO_RCVBUFFORCE). */
const HOLD_UDP = `use Socket; $|=1; socket(my $s,PF_INET,SOCK_DGRAM,17) or die; setsockopt($s,1,33,pack('i',1<<26)) or die "room $!";
bind($s,sockaddr_in($ARGV[1],inet_aton($ARGV[0]))) or die "bind $!"; print "ready\n"; <STDIN>;`;
/** ADDRESS PORT: listens; what it accepts is never read. */
const HOLD_TCP = `use Socket; $|=1; socket(my $s,PF_INET,SOCK_STREAM,6) or die;
bind($s,sockaddr_in($ARGV[1],inet_aton($ARGV[0]))) or die "bind $!"; listen($s,200); print "ready\n"; <STDIN>;`;
/** ADDRESS PORT COUNT: sends of 60 datagrams each that are cut up (UDP_SEGMENT) while the CPU takes nothing from its queue. */
const SEND_BATCHES = `use Socket; my ($ip,$port,$n)=@ARGV; socket(my $s,PF_INET,SOCK_DGRAM,17) or die; setsockopt($s,17,103,pack('i',100)) or die "segment $!";
send($s,'x' x 6000,0,sockaddr_in($port,inet_aton($ip))) or die $! for 1..$n`;
/** PREFIX COUNT: a datagram to each of COUNT addresses. */
const SEND_EACH = `use Socket; my ($net,$n)=@ARGV; socket(my $s,PF_INET,SOCK_DGRAM,17) or die; send($s,'x',0,sockaddr_in(9,inet_aton("$net.$_"))) for 20..19+$n`;
/** ADDRESS PORT COUNT: a datagram from each of COUNT ports. */
const SEND_FROM_EACH = `use Socket; my ($ip,$port,$n)=@ARGV; for(1..$n){socket(my $s,PF_INET,SOCK_DGRAM,17) or die; send($s,'x',0,sockaddr_in($port,inet_aton($ip)))}`;
/** ADDRESS PORT COUNT: connections that are filled and closed; the kernel counts orphans ten times a second. */
const ABANDON = `use Socket; use Fcntl; my ($ip,$port,$n)=@ARGV;
for(1..$n){socket(my $s,PF_INET,SOCK_STREAM,6) or die; connect($s,sockaddr_in($port,inet_aton($ip))) or die "connect $!"; fcntl($s,F_SETFL,O_NONBLOCK);
1 while syswrite($s,'x' x 300000); close $s; select(undef,undef,undef,0.3) if $_==$n/2}`;
/** ADDRESS PORT COUNT: connections that are filled one after the other and kept. */
const FILL = `use Socket; use Fcntl; $|=1; my ($ip,$port,$n)=@ARGV;
my @all=map {socket(my $s,PF_INET,SOCK_STREAM,6) or die; connect($s,sockaddr_in($port,inet_aton($ip))) or die "connect $!"; fcntl($s,F_SETFL,O_NONBLOCK); $s} 1..$n;
print "ready\n"; <STDIN>; for my $turn (1..8) {for my $s (@all) {syswrite($s,'x' x 30000)}} <STDIN>;`;
/** Pages that the host's TCP sockets use together. */
const readTcpPages = async () =>
  Number(/^TCP:.* mem (\d+)/m.exec(await readFile("/proc/net/sockstat", "utf8"))?.[1]);

// First of all: what the kernel logs of orphans shares a limit of ten lines in five seconds (net_ratelimit) with the neighbour table's complaints below.
test("connections: too many orphans are told from memory that is used up; entries of connection tracking that had to go", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await using _listener = await startIn(server, "perl", "-e", HOLD_TCP, server.address, "8080");
  await server.run("iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT");
  const run = await traceDrops(async () => {
    await withSettings({ "net.ipv4.tcp_max_orphans": "1" }, async () => {
      await perl(client, ABANDON, server.address, 8080, 40);
      await untilCounter(client, "TcpExtTCPAbortOnMemory", 10);
    });
    // Entries are thrown out of eight neighbouring buckets only; the smallest table has 512.
    await withSettings(
      { "net.netfilter.nf_conntrack_buckets": "512", "net.netfilter.nf_conntrack_max": "1000" },
      () => perl(client, SEND_FROM_EACH, server.address, 5402, 1100),
    );
  });
  const orphans = await findingAt(client, run, "tcp-orphans");
  expect(orphans).toMatchObject({
    severity: "problem",
    count: await readCounter(client, "TcpExtTCPAbortOnMemory"),
  });
  expect(orphans["fix"][0]).toMatch(/^sysctl -w net\.ipv4\.tcp_max_orphans=\d+$/);
  expect((await findingsAt(client, run)).map(({ id }) => id)).not.toContain("protocol-memory");
  const early = firewallFindings(run, server).find(({ id }) => id.startsWith("netfilter-conntrack"));
  expect(early).toMatchObject({ id: "netfilter-conntrack-early-drop", severity: "suspicious" });
  expect(early?.evidence[0]).toMatch(/early_drop \+\d+: \d+ connections that had no answer yet/);
});

test("memory of TCP: the limit of the whole host is named, and the receiver's connections that lost by it", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await using _listener = await startIn(server, "perl", "-e", HOLD_TCP, server.address, "8081");
  await using filler = await startIn(client, "perl", "-e", FILL, server.address, "8081", "60");
  const run = await traceDrops(async () => {
    // Four megabytes above what is in use: other connections of this machine go on unless they want more meanwhile.
    const limit = (await readTcpPages()) + 1024;
    await withSettings({ "net.ipv4.tcp_mem": `${limit} ${limit} ${limit}` }, async () => {
      filler.child.stdin?.write("go\n");
      await untilCounter(server, "TcpExtTCPRcvQDrop", 30);
      // Ended while the limit is low: else what waits to be sent again would be counted on.
      await filler[Symbol.asyncDispose]();
    });
  });
  const memory = await findingAt(server, run, "protocol-memory");
  const lost = (await rowsAt(server, run, "PROTO_MEM")).reduce((sum, row) => sum + row["count"], 0);
  expect(lost).toBe(await readCounter(server, "TcpExtTCPRcvQDrop"));
  expect(memory).toMatchObject({ severity: "problem", count: lost });
  expect(memory["summary"]).toContain("net.ipv4.tcp_mem was reached for a moment");
  expect(evidenceOf(memory)).toContain("8081");
  expect(evidenceOf(memory)).toContain(`TcpExtTCPRcvQDrop +${lost}`);
  expect(memory["check"]).toContain("sysctl net.ipv4.tcp_mem");
});

test("queues and tables of the whole host: a CPU's backlog, memory of UDP, neighbours; an EtherType nobody takes", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await client.run("ethtool", "-K", client.dev, "tx-udp-segmentation", "off");
  await using _reader = await startIn(server, "perl", "-e", HOLD_UDP, server.address, "5400");
  const prefix = server.address.replace(/\.\d+$/, "");
  const run = await traceDrops(async () => {
    await withSettings({ "net.core.netdev_max_backlog": "1" }, () =>
      perl(client, SEND_BATCHES, server.address, 5401, 20),
    );
    await withSettings({ "net.ipv4.udp_mem": "1 1 1" }, () =>
      // Each CPU has a megabyte of its own before the limit is looked at (SK_MEMORY_PCPU_RESERVE, include/net/sock.h).
      sendTo(client, server.address, { port: 5400, count: 3000, size: 1400 }),
    );
    await withSettings(
      {
        "net.ipv4.neigh.default.gc_thresh1": "1",
        "net.ipv4.neigh.default.gc_thresh2": "2",
        "net.ipv4.neigh.default.gc_thresh3": "8",
      },
      () => perl(client, SEND_EACH, prefix, 60),
    );
    await sendFrames(client, { to: "ffffffffffff", type: "88b5", payload: "00".repeat(46), count: 30 });
  });

  const backlog = await findingAt(server, run, "cpu-backlog");
  const refused = (await rowsAt(server, run, "CPU_BACKLOG")).reduce((sum, row) => sum + row["count"], 0);
  expect(refused).toBeGreaterThan(20 * 50);
  expect(backlog).toMatchObject({ severity: "problem", count: refused });
  // The sender may have moved from one CPU to another meanwhile: each has a line.
  const perCpu = [...evidenceOf(backlog).matchAll(/CPU \d+: dropped \+([\d,]+) of /g)];
  expect(perCpu.reduce((sum, [, count]) => sum + Number(count?.replaceAll(",", "")), 0)).toBe(refused);
  expect(backlog["fix"][0]).toBe("sysctl -w net.core.netdev_max_backlog=4096");

  const memory = await findingAt(server, run, "protocol-memory");
  const [lost] = await rowsAt(server, run, "PROTO_MEM");
  expect(lost?.["count"]).toBeGreaterThan(100);
  expect(memory).toMatchObject({ severity: "problem", count: lost?.["count"] });
  expect(memory["summary"]).toContain("net.ipv4.udp_mem was reached for a moment");

  const neighbours = await findingAt(client, run, "neighbour-table-full");
  expect(neighbours["severity"]).toBe("problem");
  expect(neighbours["count"]).toBeGreaterThan(30);
  expect(evidenceOf(neighbours)).toMatch(/table_fulls \+\d+ \(whole host\)/);

  expect(await findingAt(server, run, "ethertype-unknown")).toMatchObject({ severity: "info", count: 30 });
  // Each is told once: the devices' and the senders' own counters are no news.
  const ids = [...(await findingsAt(client, run)), ...(await findingsAt(server, run))].map(({ id }) => id);
  expect(ids.filter((id) => /^(?:silent|link-)/.test(id))).toEqual([]);
});
