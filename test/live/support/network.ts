import { execFileSync } from "node:child_process";
import { sh } from "./shell.ts";
import { traceDuring, type TraceRecord, type TraceResult } from "./trace.ts";
import type { Host, World } from "./world.ts";

/** ADDRESS PORT COUNT SIZE [SOURCE] [PMTU]: datagrams, IPv4 or IPv6 by the address; what send() refuses is printed, not fatal. */
const SEND = `use Socket; my ($ip,$port,$n,$size,$src,$pmtu)=@ARGV; my $six=$ip=~/:/; my $f=$six?PF_INET6:PF_INET;
sub at{my ($a,$p)=@_; $six?pack_sockaddr_in6($p,Socket::inet_pton(PF_INET6,$a)):sockaddr_in($p,inet_aton($a))}
socket(my $s,$f,SOCK_DGRAM,17) or die; setsockopt($s,$six?41:0,$six?23:10,pack('i',$pmtu)) if $pmtu;
if($src){bind($s,at($src,0)) or die "bind $!"} my %e;
for(1..$n){send($s,'x' x $size,0,at($ip,$port)) or $e{$!}++} print join ',',map {"$_ $e{$_}"} sort keys %e`;
/** ADDRESS PROTO COUNT: packets of any IP protocol. */
const SEND_IP = `use Socket; my ($ip,$proto,$n)=@ARGV; my $six=$ip=~/:/; socket(my $s,$six?PF_INET6:PF_INET,SOCK_RAW,$proto) or die "raw $!";
my $to=$six?pack_sockaddr_in6(0,Socket::inet_pton(PF_INET6,$ip)):sockaddr_in(0,inet_aton($ip)); send($s,'x' x 100,0,$to) for 1..$n`;
/** IFINDEX COUNT HEX: whole ethernet frames. */
const SEND_FRAMES = `my ($if,$n,$hex)=@ARGV; socket(my $s,17,3,0) or die "packet $!";
for(1..$n){send($s,pack('H*',$hex),0,pack('SnlSCCa8',17,0,$if,0,0,6,'')) or die "send $!"}`;

export interface Datagrams {
  readonly count?: number;
  readonly size?: number;
  readonly port?: number;
  readonly source?: string;
  /** IP_MTU_DISCOVER: 3 forbids to cut and ignores what the path says. */
  readonly pathMtu?: number;
}

/** Sends datagrams to a port where nobody listens unless told otherwise; gives what the calls said (`Network is unreachable 20`). */
export function sendTo(host: Host, address: string, what: Datagrams = {}): Promise<string> {
  const { count = 20, size = 100, port = 9, source = "", pathMtu = 0 } = what;
  return host.run("perl", "-e", SEND, address, ...[port, count, size].map(String), source, String(pathMtu));
}

export function sendProtocol(host: Host, address: string, protocol: number, count = 20): Promise<string> {
  return host.run("perl", "-e", SEND_IP, address, String(protocol), String(count));
}

/** Sends frames: destination MAC, a source that is nobody's, EtherType and payload in hexadecimal digits. */
export async function sendFrames(
  host: Host,
  frame: { readonly to: string; readonly type: string; readonly payload: string; readonly count?: number },
): Promise<void> {
  const index = (await host.run("cat", `/sys/class/net/${host.dev}/ifindex`)).trim();
  const hex = `${frame.to}020000000001${frame.type}${frame.payload}`;
  await host.run("perl", "-e", SEND_FRAMES, index, String(frame.count ?? 20), hex);
}

export async function macOf(host: Host, dev = host.dev): Promise<string> {
  return (await host.run("cat", `/sys/class/net/${dev}/address`)).trim().replaceAll(":", "");
}

/** An IPv4 packet with a UDP datagram of 18 bytes, as hexadecimal digits; its header can be spoilt. */
export function ipv4Packet(
  source: string,
  destination: string,
  spoil: { readonly version?: string; readonly length?: string; readonly fragment?: string } = {},
): string {
  const start = `${spoil.version ?? "45"}00${spoil.length ?? "002e"}0001${spoil.fragment ?? "0000"}4011`;
  const addresses = `${hexAddress(source)}${hexAddress(destination)}`;
  return `${start}${checksum(`${start}0000${addresses}`)}${addresses}0009000900120000${"00".repeat(18)}`;
}

function hexAddress(address: string): string {
  return address
    .split(".")
    .map((byte) => Number(byte).toString(16).padStart(2, "0"))
    .join("");
}

function checksum(header: string): string {
  let sum = 0;
  for (let at = 0; at < header.length; at += 4) sum += Number.parseInt(header.slice(at, at + 4), 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return (~sum & 0xffff).toString(16).padStart(4, "0");
}

/** Both ends know each other's MAC address, so that the test's own packets are the only ones. */
export async function warmUp({ client, server }: World): Promise<void> {
  await sendTo(client, server.address, { count: 1 });
  await sendTo(client, server.address6, { count: 1 });
}

/** Without IPv6 nobody greets anybody: a count at a device is that of the test's own packets. */
export async function silenceIpv6({ client, server }: World): Promise<void> {
  for (const host of [client, server]) await host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1");
}

export interface Far extends AsyncDisposable {
  readonly host: Host;
  /** The server's device towards it. */
  readonly routerDev: string;
}

/**
 * A third host behind the server: 10.84.0.2 and fd84::2, the server has 10.84.0.1 and fd84::1 there. Client and far host know the
 * way; the server does not forward yet.
 */
export async function addFarHost({ client, server }: World, mtu = 1500): Promise<Far> {
  const id = server.netns.slice(3);
  const netns = `tf-${id}`;
  const [near, far] = [`r${id}`, `f${id}`];
  const cleanup = () => {
    try {
      execFileSync("ip", ["netns", "del", netns], { stdio: "ignore" });
    } catch {
      // It was never made, or is gone.
    }
  };
  process.once("exit", cleanup);
  await sh("ip", "netns", "add", netns);
  await sh(
    "ip",
    "-n",
    server.netns,
    "link",
    "add",
    near,
    "type",
    "veth",
    "peer",
    "name",
    far,
    "netns",
    netns,
  );
  for (const [space, dev, last] of [
    [server.netns, near, 1],
    [netns, far, 2],
  ] as const) {
    await sh("ip", "-n", space, "addr", "add", `10.84.0.${last}/24`, "dev", dev);
    await sh("ip", "-n", space, "addr", "add", `fd84::${last}/64`, "dev", dev, "nodad");
    await sh("ip", "-n", space, "link", "set", dev, "mtu", String(mtu), "up");
  }
  await sh("ip", "-n", netns, "link", "set", "lo", "up");
  await sh("ip", "-n", netns, "route", "add", "default", "via", "10.84.0.1");
  await sh("ip", "-n", netns, "-6", "route", "add", "default", "via", "fd84::1");
  await sh("ip", "-n", client.netns, "route", "add", "10.84.0.0/16", "via", server.address);
  await sh("ip", "-n", client.netns, "-6", "route", "add", "fd84::/32", "via", server.address6);
  return {
    routerDev: near,
    host: {
      netns,
      dev: far,
      address: "10.84.0.2",
      address6: "fd84::2",
      run: (command, ...args) => sh("ip", "netns", "exec", netns, command, ...args),
      inode: async () =>
        Number(/\d+/.exec(await sh("ip", "netns", "exec", netns, "readlink", "/proc/self/ns/net"))?.[0]),
    },
    async [Symbol.asyncDispose]() {
      cleanup();
      process.off("exit", cleanup);
    },
  };
}

export async function forward(host: Host): Promise<void> {
  await host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
}

/** `trace drops` over all namespaces while that happens. */
export function traceDrops(traffic: () => Promise<unknown>): Promise<TraceResult> {
  return traceDuring(["drops"], traffic);
}

/** The findings about one host of the test: others on this machine may have troubles of their own. */
export async function findingsAt(host: Host, { summary }: TraceResult): Promise<TraceRecord[]> {
  const inode = await host.inode();
  return (summary["findings"] as TraceRecord[]).filter((finding) => finding["netns"]?.inode === inode);
}

/** The one finding of that host with this id. */
export async function findingAt(host: Host, result: TraceResult, id: string): Promise<TraceRecord> {
  const findings = await findingsAt(host, result);
  const [found, another] = findings.filter((finding) => finding["id"] === id);
  if (found === undefined || another !== undefined) {
    const all = findings.map((finding) => `${finding["id"]}: ${finding["summary"]}`).join("\n");
    throw new Error(`${found === undefined ? "no" : "more than one"} finding ${id} among:\n${all}`);
  }
  return found;
}

export const evidenceOf = (finding: TraceRecord): string => (finding["evidence"] as string[]).join("\n");

/** Rows of one host with this reason. */
export async function rowsAt(host: Host, { summary }: TraceResult, reason: string): Promise<TraceRecord[]> {
  const inode = await host.inode();
  return (summary["flows"] as TraceRecord[]).filter(
    (row) => row["netns"]?.inode === inode && row["reason"] === reason,
  );
}

/** Runs the commands of a fix as they are printed; lines of advice do nothing. */
export async function paste(finding: TraceRecord): Promise<void> {
  await sh("/bin/sh", "-c", `set -e\n${(finding["fix"] as string[]).join("\n")}`);
}
