import { describe, expect, test } from "vitest";
import { startIn } from "./support/background.ts";
import { readCounter, untilCounter } from "./support/counters.ts";
import { sh } from "./support/shell.ts";
import { traceDuring, type TraceRecord, type TraceResult } from "./support/trace.ts";
import { createWorld, type Host, type World } from "./support/world.ts";

/** A few system calls in perl-base: ADDRESS PORT … */
const SEND_UDP = `use Socket; my ($ip,$port,$n,$size,$proto)=@ARGV; socket(my $s,PF_INET,SOCK_DGRAM,$proto||17) or die;
for(1..$n){send($s,'x' x $size,0,sockaddr_in($port,inet_aton($ip)))}`;
/** Binds and never reads; with SO_RCVBUF (0: the default), a filter that refuses everything, or connected to a peer when asked to. */
const HOLD_UDP = `use Socket; $|=1; my ($ip,$port,$buffer,$filter,$peer)=@ARGV; socket(my $s,PF_INET,SOCK_DGRAM,17) or die;
setsockopt($s,SOL_SOCKET,SO_RCVBUF,pack('i',$buffer)) if $buffer;
if($filter){my $code=pack('SCCL',6,0,0,0); setsockopt($s,SOL_SOCKET,26,pack('Sx6P',1,$code)) or die "filter $!"}
bind($s,sockaddr_in($port,inet_aton($ip))) or die "bind $!"; if($peer){connect($s,sockaddr_in(9999,inet_aton($peer))) or die "connect $!"} print "ready\n"; <STDIN>;`;
/** A raw (FAMILY 2) or packet (FAMILY 17) socket that never reads. */
const HOLD_RAW = `use Socket; $|=1; my ($family,$proto,$buffer)=@ARGV; socket(my $s,$family,SOCK_RAW,$proto) or die "raw $!";
setsockopt($s,SOL_SOCKET,SO_RCVBUF,pack('i',$buffer)); print "ready\n"; <STDIN>;`;
const SEND_RAW = `use Socket; my ($ip,$proto,$n)=@ARGV; socket(my $s,PF_INET,SOCK_RAW,$proto) or die "raw $!";
for(1..$n){send($s,'x' x 100,0,sockaddr_in(0,inet_aton($ip)))}`;
/** Listens and never accepts; accepted connections would not be read either. LEVEL NAME VALUE sets an option. */
const LISTEN = `use Socket; $|=1; my ($ip,$port,$backlog,$level,$name,$value)=@ARGV; socket(my $s,PF_INET,SOCK_STREAM,6) or die;
setsockopt($s,SOL_SOCKET,SO_REUSEADDR,1);
if(defined $value){setsockopt($s,$level,$name,pack('H*',$value)) or die "option $!"}
bind($s,sockaddr_in($port,inet_aton($ip))) or die "bind $!"; listen($s,$backlog); print "ready\n"; <STDIN>;`;
/** Opens connections to the ports FROM..TO, COUNT times each, without waiting for an answer. */
const CONNECT = `use Socket; use Fcntl; my ($ip,$from,$to,$n)=@ARGV; my @all;
for my $port ($from..$to){for(1..$n){socket(my $s,PF_INET,SOCK_STREAM,6) or die; fcntl($s,F_SETFL,O_NONBLOCK);
connect($s,sockaddr_in($port,inet_aton($ip))); push @all,$s}}`;
/** Fills a connection until it takes no more, and holds it. */
const FILL = `use Socket; use Fcntl; $|=1; my ($ip,$port)=@ARGV; socket(my $s,PF_INET,SOCK_STREAM,6) or die;
connect($s,sockaddr_in($port,inet_aton($ip))) or die "connect $!"; fcntl($s,F_SETFL,O_NONBLOCK);
my $idle=0; while($idle<20){if(syswrite($s,'x' x 65536)){$idle=0}else{$idle++;select(undef,undef,undef,0.01)}} print "ready\n"; <STDIN>;`;
/** COUNT SYNs from a forged address: nobody answers their SYN-ACK. */
const FLOOD_SYN = `use Socket; my ($src,$dst,$port,$n)=@ARGV; socket(my $s,PF_INET,SOCK_RAW,255) or die "raw $!"; setsockopt($s,0,3,pack('i',1));
sub sum{my $x=0;$x+=$_ for unpack('n*',shift);$x=($x>>16)+($x&0xffff) while $x>>16;return ~$x&0xffff}
my ($a,$b)=(inet_aton($src),inet_aton($dst));
for my $i(1..$n){my $t=pack('nnNNCCnnn',1024+$i,$port,$i*1000,0,0x50,2,1024,0,0); substr($t,16,2)=pack('n',sum($a.$b.pack('CCn',0,6,20).$t));
send($s,pack('CCnnnCCn',0x45,0,40,$i,0,64,6,0).$a.$b.$t,0,sockaddr_in(0,$b))}`;
/** Datagrams or SYNs (PROTO 17 or 6) whose checksum is wrong. */
const BAD_SUM = `use Socket; my ($src,$dst,$port,$n,$proto)=@ARGV; socket(my $s,PF_INET,SOCK_RAW,255) or die "raw $!"; setsockopt($s,0,3,pack('i',1));
my ($a,$b)=(inet_aton($src),inet_aton($dst));
for my $i(1..$n){my $t=$proto==17?pack('nnnn',4000,$port,28,0x1234).('x'x20):pack('nnNNCCnnn',1024+$i,$port,$i*1000,0,0x50,2,1024,0x1234,0);
send($s,pack('CCnnnCCn',0x45,0,20+length($t),$i,0,64,$proto,0).$a.$b.$t,0,sockaddr_in(0,$b))}`;

const perl = (host: Host, program: string, ...args: (string | number)[]) =>
  host.run("perl", "-e", program, ...args.map(String));
const holdPerl = (host: Host, program: string, ...args: (string | number)[]) =>
  startIn(host, "perl", "-e", program, ...args.map(String));

/** The findings about one host of the test: others on this machine may have troubles of their own. */
async function findingsAt(host: Host, { summary }: TraceResult): Promise<TraceRecord[]> {
  const inode = await host.inode();
  return (summary["findings"] as TraceRecord[]).filter((finding) => finding["netns"]?.inode === inode);
}

const byId = (findings: readonly TraceRecord[], id: string) =>
  findings.filter((finding) => finding["id"] === id);

/** Runs the commands of a fix as they are printed; lines of advice do nothing. */
const paste = (commands: readonly string[]) => sh("/bin/sh", "-c", `set -e\n${commands.join("\n")}`);

const atServer = (world: World) => ["drops", "--netns", world.server.netns];

describe("closed ports", () => {
  test("are named with who asked; what listens on 127.0.0.1 only is named, and bound elsewhere it is no finding any more", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const ask = async () => {
      await perl(client, SEND_UDP, server.address, 5353, 200, 50);
      await perl(client, CONNECT, server.address, 8081, 8082, 50);
      await untilCounter(server, "TcpOutRsts", 50);
    };
    let findings: TraceRecord[];
    {
      await using _local = await holdPerl(server, LISTEN, "127.0.0.1", 8082, 10);
      const run = await traceDuring(["drops"], async () => {
        await ask();
        await untilCounter(server, "TcpOutRsts", 100);
      });
      findings = await findingsAt(server, run);
      expect(await readCounter(server, "UdpNoPorts")).toBe(200);
      const [row] = (run.summary["flows"] as TraceRecord[]).filter(
        (flow) => flow["destinationPort"] === 5353 && flow["source"] === client.address,
      );
      expect(row).toMatchObject({
        reason: "NO_SOCKET",
        proto: "udp",
        destination: server.address,
        count: 200,
      });
    }
    expect(findings).toHaveLength(3);
    const [udp, ...tcp] = findings.toSorted((a, b) => b["count"] - a["count"]);
    expect(udp).toMatchObject({
      id: "closed-port",
      severity: "problem",
      count: 200,
      summary: `Nobody listens on UDP port 5353 of ${server.address}: 200 datagrams from ${client.address} refused`,
      check: [`ip netns exec ${server.netns} ss -lunp 'sport = :5353'`],
    });
    expect(udp?.["evidence"].join("\n")).toContain("UdpNoPorts +200");
    const local = tcp.find((finding) => finding["summary"].includes("8082"));
    for (const finding of tcp)
      expect(finding).toMatchObject({ id: "closed-port", severity: "problem", count: 50 });
    expect(local?.["evidence"].join("\n")).toMatch(/perl \(pid \d+\) listens on 127\.0\.0\.1:8082/);
    expect(local?.["fix"][0]).toContain("instead of 127.0.0.1");

    await using _udp = await holdPerl(server, HOLD_UDP, "0.0.0.0", 5353, 0);
    await using _first = await holdPerl(server, LISTEN, "0.0.0.0", 8081, 4096);
    await using _second = await holdPerl(server, LISTEN, "0.0.0.0", 8082, 4096);
    const again = await traceDuring(atServer(world), ask);
    expect(await findingsAt(server, again)).toEqual([]);
  });

  test("asked one after the other are a scan", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const run = await traceDuring(atServer(world), async () => {
      await perl(client, CONNECT, server.address, 7000, 7039, 1);
      await untilCounter(server, "TcpOutRsts", 40);
    });
    expect(await findingsAt(server, run)).toMatchObject([
      { id: "port-scan", severity: "suspicious", count: 40 },
    ]);
  });
});

describe("sockets that do not read", () => {
  test("UDP: the finding counts what the kernel counts and names socket, process and buffer", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using _reader = await holdPerl(server, HOLD_UDP, "0.0.0.0", 5400, 4096);
    const run = await traceDuring(atServer(world), () =>
      perl(client, SEND_UDP, server.address, 5400, 300, 100),
    );
    const lost = await readCounter(server, "UdpRcvbufErrors");
    expect(lost).toBeGreaterThan(200);
    expect(run.summary["drops"].byReason["SOCKET_RCVBUFF"]).toBe(lost);
    const [finding, ...rest] = await findingsAt(server, run);
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "udp-receive-buffer", severity: "problem", count: lost });
    expect(finding?.["summary"]).toMatch(/UDP port 5400 was full: perl \(pid \d+\) does not read its socket/);
    expect(finding?.["evidence"][0]).toContain(`drops +${lost}`);
    expect(finding?.["evidence"][0]).toContain("of 8,192 bytes waiting");
    expect(finding?.["fix"].join("\n")).toMatch(/SO_RCVBUF, \d+/);
  });

  test("TCP: the window stays closed, although not a single packet is lost", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using _reader = await holdPerl(server, LISTEN, "0.0.0.0", 8084, 10);
    const run = await traceDuring(["drops"], async () => {
      await using _writer = await holdPerl(client, FILL, server.address, 8084);
      await untilCounter(client, "TcpExtTCPWinProbe", 3);
    });
    const [finding, ...rest] = await findingsAt(server, run);
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "tcp-stalled-reader", severity: "suspicious", count: 1 });
    expect(finding?.["summary"]).toMatch(/^perl \(pid \d+\) does not read its TCP connection on port 8084/);
    expect(byId(await findingsAt(client, run), "tcp-retransmissions")).toEqual([]);
  });

  test("raw sockets and captures: the one is a loss, the other only a gap in the picture", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using _raw = await holdPerl(server, HOLD_RAW, 2, 253, 4096);
    await using _capture = await holdPerl(server, HOLD_RAW, 17, 0x0300, 4096);
    const run = await traceDuring(atServer(world), () => perl(client, SEND_RAW, server.address, 253, 100));
    const findings = await findingsAt(server, run);
    const refused = Number(/(\d+)\s*$/.exec((await server.run("cat", "/proc/net/raw")).trim())?.[1]);
    expect(refused).toBeGreaterThan(50);
    expect(run.summary["drops"].byReason["IP_NOPROTO"]).toBe(refused);
    const [raw] = byId(findings, "raw-receive-buffer");
    expect(raw).toMatchObject({ severity: "problem", count: refused });
    expect(raw?.["evidence"][0]).toMatch(/^raw socket \(IP protocol 253\) of perl \(pid \d+\): drops \+\d+/);
    expect(byId(findings, "capture-buffer")).toMatchObject([
      { severity: "info", count: run.summary["drops"].byReason["PACKET_SOCK_ERROR"] },
    ]);
    expect(findings).toHaveLength(2);
  });

  test("a filter on a socket, a socket connected to somebody else and a UDP-Lite port are told from a full buffer", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using _filtered = await holdPerl(server, HOLD_UDP, "0.0.0.0", 5401, 0, 1);
    await using _connected = await holdPerl(server, HOLD_UDP, "0.0.0.0", 5403, 0, 0, client.address);
    const run = await traceDuring(atServer(world), async () => {
      await perl(client, SEND_UDP, server.address, 5401, 60, 100);
      await perl(client, SEND_UDP, server.address, 5402, 40, 100, 136);
      await perl(client, SEND_UDP, server.address, 5403, 30, 100);
    });
    expect(await readCounter(server, "UdpLiteNoPorts")).toBe(40);
    const findings = await findingsAt(server, run);
    expect(findings).toMatchObject([
      { id: "closed-port", severity: "problem", count: 40 },
      { id: "closed-port", severity: "problem", count: 30 },
      { id: "socket-filter", severity: "suspicious", count: 60 },
    ]);
    expect(findings[0]?.["summary"]).toContain("UDP-Lite port 5402");
    expect(findings[1]?.["evidence"].join("\n")).toMatch(/perl \(pid \d+\) holds .*:5403, but connected to /);
  });
});

describe("queues of a listener", () => {
  test("the accept queue overflows silently; the backlog that the fix names is enough", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const connect = () => perl(client, CONNECT, server.address, 8083, 8083, 40);
    let finding: TraceRecord | undefined;
    {
      await using _listener = await holdPerl(server, LISTEN, "0.0.0.0", 8083, 1);
      const run = await traceDuring(atServer(world), async () => {
        await connect();
        await untilCounter(server, "TcpExtListenOverflows", 30);
      });
      const overflows = await readCounter(server, "TcpExtListenOverflows");
      const findings = await findingsAt(server, run);
      [finding] = findings;
      expect(findings).toHaveLength(1);
      expect(finding).toMatchObject({ id: "accept-queue", severity: "problem", count: overflows });
      expect(finding?.["evidence"].join("\n")).toMatch(
        /listener 0\.0\.0\.0:8083 of perl \(pid \d+\): refused \+\d+, 2 waiting of 1 \(backlog\)/,
      );
      expect(finding?.["evidence"].join("\n")).toContain(`TcpExtListenOverflows +${overflows}`);
    }
    const backlog = /backlog of (\d+) instead of 1/.exec(finding?.["fix"].join("\n"))?.[1] ?? "none";
    await using _listener = await holdPerl(server, LISTEN, "0.0.0.0", 8083, backlog);
    const again = await traceDuring(atServer(world), connect);
    expect(await findingsAt(server, again)).toEqual([]);
  });

  test("cut by net.core.somaxconn is raised by the printed command", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("sysctl", "-qw", "net.core.somaxconn=4");
    const overflow = async (): Promise<TraceRecord[]> => {
      await using _listener = await holdPerl(server, LISTEN, "0.0.0.0", 8083, 1024);
      const run = await traceDuring(atServer(world), () =>
        perl(client, CONNECT, server.address, 8083, 8083, 40),
      );
      return findingsAt(server, run);
    };
    const findings = await overflow();
    expect(findings).toMatchObject([{ id: "accept-queue", severity: "problem" }]);
    expect(findings[0]?.["fix"][0]).toBe(`ip netns exec ${server.netns} sysctl -w net.core.somaxconn=4096`);
    await paste(findings[0]?.["fix"]);
    // The fix says so itself: the listener has to be restarted.
    expect(await overflow()).toEqual([]);
  });

  test("the queue of half-open connections: the printed commands end the refusals", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=16");
    await using _listener = await holdPerl(server, LISTEN, "0.0.0.0", 8085, 64);
    const forged = server.address.replace(/\d+$/, "99");
    const mac = (await client.run("cat", `/sys/class/net/${client.dev}/address`)).trim();
    await server.run("ip", "neigh", "add", forged, "lladdr", mac, "dev", server.dev);
    const flood = () => perl(client, FLOOD_SYN, forged, server.address, 8085, 200);
    const run = await traceDuring(atServer(world), flood);
    const refused = await readCounter(server, "TcpExtListenDrops");
    expect(refused).toBeGreaterThan(100);
    const findings = await findingsAt(server, run);
    expect(findings).toMatchObject([{ id: "syn-queue", severity: "problem", count: refused }]);
    expect(findings[0]?.["summary"]).toContain("0.0.0.0:8085");
    await paste(findings[0]?.["fix"]);
    const again = await traceDuring(atServer(world), flood);
    expect(await readCounter(server, "TcpExtListenDrops")).toBe(refused);
    const after = await findingsAt(server, again);
    expect(after.map((finding) => finding["severity"])).not.toContain("problem");
    // Said once for each listener, whenever its queue was full first.
    const evidence = [...findings, ...after].flatMap((finding) => finding["evidence"] as string[]);
    expect(evidence).toContainEqual(
      expect.stringMatching(/^kernel log.*: .*Possible SYN flooding on port \S*8085\./),
    );
  });
});

describe("packets that are not right", () => {
  test("wrong UDP and TCP checksums are told with the layer's counter, and where they were made", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using _udp = await holdPerl(server, HOLD_UDP, "0.0.0.0", 5402, 0);
    await using _tcp = await holdPerl(server, LISTEN, "0.0.0.0", 8086, 64);
    const run = await traceDuring(["drops"], async () => {
      await perl(client, BAD_SUM, client.address, server.address, 5402, 100, 17);
      await perl(client, BAD_SUM, client.address, server.address, 8086, 90, 6);
    });
    expect(await readCounter(server, "UdpInCsumErrors")).toBe(100);
    expect(await readCounter(server, "TcpInCsumErrors")).toBe(90);
    const findings = await findingsAt(server, run);
    expect(findings).toMatchObject([
      { id: "checksum", severity: "problem", count: 100 },
      { id: "checksum", severity: "problem", count: 90 },
    ]);
    expect(findings[0]?.["evidence"][0]).toContain("UdpInCsumErrors +100");
    expect(findings[0]?.["fix"][0]).toBe(`ip netns exec ${client.netns} ethtool -K ${client.dev} tx off`);
    expect(findings[1]?.["evidence"][0]).toContain("TcpInCsumErrors +90");
  });

  test("a TTL below what the listener allows (GTSM) is told as such", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    // IP_MINTTL = 255
    await using _listener = await holdPerl(server, LISTEN, "0.0.0.0", 1790, 64, 0, 21, "ff000000");
    const run = await traceDuring(atServer(world), () =>
      perl(client, CONNECT, server.address, 1790, 1790, 5),
    );
    expect(await readCounter(server, "TcpExtTCPMinTTLDrop")).toBeGreaterThanOrEqual(5);
    expect(await findingsAt(server, run)).toMatchObject([{ id: "tcp-min-ttl", severity: "problem" }]);
  });
});
