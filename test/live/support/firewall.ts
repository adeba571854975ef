import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { sh } from "./shell.ts";
import type { TraceResult } from "./trace.ts";
import type { Host, World } from "./world.ts";

/** A `finding` record, as far as these tests read it. */
export interface FindingRecord {
  readonly id: string;
  readonly severity: string;
  readonly summary: string;
  readonly count: number;
  readonly netns: { readonly inode: number; readonly name: string } | null;
  readonly evidence: readonly string[];
  readonly check: readonly string[];
  readonly fix: readonly string[];
  readonly rule?: {
    readonly tool: string;
    readonly backend: string;
    readonly family?: string;
    readonly table: string;
    readonly chain: string;
    readonly number: number | null;
    readonly handle: number | null;
    readonly text: string;
    readonly packets: number | null;
  };
}

/** What was found about the firewall of one namespace. */
export function firewallFindings(result: TraceResult, host: Pick<Host, "netns">): FindingRecord[] {
  const all = result.summary["findings"] as FindingRecord[];
  return all.filter(({ id, netns }) => id.startsWith("netfilter") && netns?.name === host.netns);
}

/** Drops in one namespace that fit, added up. */
export function countFlows(
  result: TraceResult,
  host: Pick<Host, "netns">,
  wanted: Readonly<Record<string, unknown>>,
): number {
  const rows = result.summary["flows"] as (Record<string, unknown> & {
    count: number;
    netns: { name: string } | null;
  })[];
  return rows
    .filter(
      (row) =>
        row.netns?.name === host.netns && Object.entries(wanted).every(([key, value]) => row[key] === value),
    )
    .reduce((sum, row) => sum + row.count, 0);
}

/** Sends `count` datagrams, a refusal (EPERM) is no error; perl-base is on every Debian. */
const SEND4 = `use Socket; my ($ip,$port,$n)=@ARGV;
socket(my $s,PF_INET,SOCK_DGRAM,17) or die; for(1..$n){ send($s,"x" x 40,0,sockaddr_in($port,inet_aton($ip))) }`;
const SEND6 = `use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); my ($ip,$port,$n)=@ARGV;
socket(my $s,PF_INET6,SOCK_DGRAM,17) or die;
for(1..$n){ send($s,"x" x 40,0,pack_sockaddr_in6($port,inet_pton(AF_INET6,$ip))) }`;

export async function sendUdp(from: Host, address: string, port: number, count: number): Promise<void> {
  await from.run("perl", "-e", address.includes(":") ? SEND6 : SEND4, address, String(port), String(count));
}

/** As an operator would: pastes a printed command into a shell. */
export async function paste(command: string): Promise<string> {
  return await sh("/bin/sh", "-c", command);
}

/** Runs all checks of these findings (they only show something), then all fixes. */
export async function pasteAll(findings: readonly FindingRecord[]): Promise<void> {
  for (const command of findings.flatMap(({ check }) => check)) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as they are pasted
    if (!command.includes("monitor trace")) expect((await paste(command)).length).toBeGreaterThan(0);
  }
  // oxlint-disable-next-line no-await-in-loop -- the same
  for (const command of findings.flatMap(({ fix }) => fix)) await paste(command);
}

/**
 * Whether the kernel can do what `attempt` sets up. When it fails, the kernel's own list of functions has to say that it
 * cannot: nothing is left out for any other reason.
 */
export async function kernelCan(symbol: string, attempt: () => Promise<unknown>): Promise<boolean> {
  try {
    await attempt();
    return true;
  } catch (error) {
    const symbols = await readFile("/proc/kallsyms", "latin1");
    expect(
      new RegExp(` ${symbol}\\b`).test(symbols),
      `${symbol} is in this kernel, and yet: ${String(error)}`,
    ).toBe(false);
    return false;
  }
}

export interface Joined extends Host, AsyncDisposable {}

/** A third host, joined by a veth pair to the server: its own network behind a router, or a bridge between two hosts. */
export async function joinHost(
  to: Host,
  subnet: number,
): Promise<Joined & { readonly near: string; readonly nearDev: string }> {
  const id = randomBytes(3).toString("hex");
  const netns = `tf-${id}`;
  const [dev, nearDev] = [`f${id}`, `n${id}`];
  const cleanup = () => {
    try {
      execFileSync("ip", ["netns", "del", netns], { stdio: "ignore" });
    } catch {
      // It was never made, or is gone.
    }
  };
  process.once("exit", cleanup);
  const run = (command: string, ...args: string[]) => sh("ip", "netns", "exec", netns, command, ...args);
  await sh("ip", "netns", "add", netns);
  await sh(
    "ip",
    ...`link add ${dev} netns ${netns} type veth peer name ${nearDev} netns ${to.netns}`.split(" "),
  );
  const near = `10.84.${subnet}.1`;
  const address = `10.84.${subnet}.2`;
  for (const [host, device, own] of [
    [netns, dev, address],
    [to.netns, nearDev, near],
  ]) {
    // oxlint-disable no-await-in-loop -- in this order
    await sh("ip", ...`-n ${host} addr add ${own}/24 dev ${device}`.split(" "));
    await sh("ip", ...`-n ${host} link set ${device} up`.split(" "));
    // oxlint-enable no-await-in-loop
  }
  return {
    netns,
    dev,
    address,
    address6: "",
    near,
    nearDev,
    run,
    inode: async () => Number(/\d+/.exec(await run("readlink", "/proc/self/ns/net"))?.[0]),
    async [Symbol.asyncDispose]() {
      cleanup();
      process.off("exit", cleanup);
    },
  };
}

/** The server routes between the client and a third host. */
export async function createRoutedWorld({
  client,
  server,
}: World): Promise<Awaited<ReturnType<typeof joinHost>>> {
  const subnet = randomBytes(1)[0] ?? 0;
  const far = await joinHost(server, subnet);
  await server.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
  await far.run("ip", "route", "add", "default", "via", far.near);
  await client.run("ip", "route", "add", `10.84.${subnet}.0/24`, "via", server.address);
  return far;
}

/**
 * Makes `count` entries in the connection tracking table of a namespace, over netlink (linux/netfilter/nfnetlink_conntrack.h):
 * without a packet, and marked as answered, so that none is thrown out for another. All are gone with the namespace.
 */
const FILL = `use Socket; my ($n)=@ARGV;
socket(my $s,16,3,12) or die; setsockopt($s,1,7,pack("l",1<<21)); bind($s,pack("S S L L",16,0,0,0)) or die;
sub attr { my($t,$d)=@_; my $l=4+length $d; pack("S S",$l,$t).$d.("\\0" x ((4-$l%4)%4)) }
sub tuple { my($t,$a,$b,$sp,$dp)=@_; attr($t|0x8000, attr(1|0x8000,attr(1,$a).attr(2,$b))
  .attr(2|0x8000,attr(1,pack("C",17)).attr(2,$sp).attr(3,$dp))) }
my($x,$p,$y)=("AAAA","PP",pack("C4",10,201,0,1));
my $body=pack("C C n",2,0,0).tuple(1,$x,$y,$p,pack("n",53)).tuple(2,$y,$x,pack("n",53),$p).attr(3,pack("N",0xe)).attr(7,pack("N",600));
my $m=pack("L S S L L",16+length $body,0x100,0x601,0,0).$body;
my(@a,@q); my $i=-1; while(($i=index($m,"AAAA",$i+1))>=0){push @a,$i} $i=-1; while(($i=index($m,"PP",$i+1))>=0){push @q,$i}
die unless @a==2 && @q==2; my $b="";
for(my $i=0;$i<$n;$i++){ my $u=pack("CCn",10,200,1+($i>>16)); my $v=pack("n",$i&65535);
  substr($m,$_,4)=$u for @a; substr($m,$_,2)=$v for @q; $b.=$m;
  if($i%150==149||$i==$n-1){ send($s,$b,0,pack("S S L L",16,0,0,0)) or die "send $!"; $b="" } }`;

export async function fillConntrack(host: Host, count: number): Promise<void> {
  await host.run("perl", "-e", FILL, String(count));
}

/** Reads netfilter queue 3, two packets long; `hold` answers nothing, `drop` says drop. */
const QUEUE = `use Socket; $|=1; my($mode)=@ARGV; my $seq=0;
socket(my $s,16,3,12) or die; bind($s,pack("S S L L",16,0,0,0)) or die;
sub attr { my($t,$d)=@_; my $l=4+length $d; pack("S S",$l,$t).$d.("\\0" x ((4-$l%4)%4)) }
sub req { my($type,$flags,$body)=@_;
  send($s,pack("L S S L L",20+length($body),(3<<8)|$type,$flags,++$seq,0).pack("C C n",0,0,3).$body,0,pack("S S L L",16,0,0,0)) or die;
  if($flags&4){ recv($s,my $r,65536,0); my $e=unpack("l",substr($r,16,4)); die "refused $e" if $e } }
req(2,5,attr(1,pack("C C n",1,0,2))); req(2,5,attr(2,pack("N C",0xffff,2))); req(2,5,attr(3,pack("N",2)));
print "ready\\n";
while(1){ recv($s,my $r,65536,0) // next; my $o=0;
  while($o+16<=length $r){ my $len=unpack("L",substr($r,$o,4)); last if $len<16; my $p=substr($r,$o+20,$len-20);
    while(length $p>=4){ my($l,$t)=unpack("S S",$p); last if $l<4;
      if(($t&0x3fff)==1 && $mode eq "drop"){ req(1,1,attr(2,pack("N N",0,unpack("N",substr($p,4,4))))) }
      $p=substr($p,($l+3)&~3) }
    $o+=($len+3)&~3 } }`;

export interface QueueReader extends Disposable {
  end(): Promise<void>;
}

export async function readQueue(host: Host, mode: "hold" | "drop"): Promise<QueueReader> {
  const child = spawn("ip", ["netns", "exec", host.netns, "perl", "-e", QUEUE, mode]);
  await once(child.stdout, "data");
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { end, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** A folder with tools that only fail, to be put in front of PATH. */
export async function breakTools(
  names: readonly string[],
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "tools-"));
  const script = "#!/bin/sh\necho out of order >&2\nexit 1\n";
  await Promise.all(names.map((name) => writeFile(join(path, name), script, { mode: 0o755 })));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
