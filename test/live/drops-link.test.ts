import { describe, expect, test } from "vitest";
import { startIn } from "./support/background.ts";
import { readCounter, untilCounter } from "./support/counters.ts";
import {
  evidenceOf,
  findingAt,
  ipv4Packet,
  findingsAt,
  paste,
  rowsAt,
  sendFrames,
  sendTo,
  silenceIpv6,
  traceDrops,
  warmUp,
} from "./support/network.ts";
import { sh } from "./support/shell.ts";
import { createWorld, type Host } from "./support/world.ts";

const EVERYBODY = "ffffffffffff";

const tc = (host: Host, ...args: string[]) => sh("tc", "-n", host.netns, ...args);
const ip = (host: Host, ...args: string[]) => sh("ip", "-n", host.netns, ...args);

/** Sum of the drops of all queues of a device with this kind, as `tc` prints them. */
async function queueDrops(host: Host, kind: string): Promise<number> {
  const queues = JSON.parse(await tc(host, "-s", "-j", "qdisc", "show", "dev", host.dev)) as {
    kind: string;
    drops?: number;
  }[];
  return queues.filter((queue) => queue.kind === kind).reduce((sum, { drops }) => sum + (drops ?? 0), 0);
}

/** TYPE RETURN: loads an eBPF program that returns that, and pins it in the bpf file system (its own, of the mount namespace). */
const PIN_PROGRAM = `use strict; my ($type,$ret,$path)=@ARGV;
my $code=pack('CCsl',0xb7,0,0,$ret).pack('CCsl',0x95,0,0,0); my $license="GPL\\0";
my $load=pack('LLQQLLQLLa16LL',$type,2,unpack('Q',pack('P',$code)),unpack('Q',pack('P',$license)),0,0,0,0,0,'drop_all',0,0).("\\0"x64);
my $fd=syscall(321,5,$load,length $load); die "load $!" if $fd<0;
my $name="$path\\0"; my $pin=pack('QLL',unpack('Q',pack('P',$name)),$fd,0); die "pin $!" if syscall(321,6,$pin,length $pin)<0;`;
/** CGROUP: lets nothing out of it for as long as it lives. */
const FORBID_EGRESS = `use strict; $|=1; my ($group)=@ARGV;
my $code=pack('CCsl',0xb7,0,0,0).pack('CCsl',0x95,0,0,0); my $license="GPL\\0";
my $load=pack('LLQQLLQLLa16LL',8,2,unpack('Q',pack('P',$code)),unpack('Q',pack('P',$license)),0,0,0,0,0,'deny',0,1).("\\0"x64);
my $fd=syscall(321,5,$load,length $load); die "load $!" if $fd<0;
sysopen(my $dir,$group,0200000) or die "open $!";
my $link=pack('LLLL',$fd,fileno($dir),1,0).("\\0"x48); my $l=syscall(321,28,$link,length $link); die "link $!" if $l<0;
print "ready\\n"; <STDIN>;`;
/** NAME: a tun device whose program never reads. */
const HOLD_TUN = `$|=1; sysopen(my $t,'/dev/net/tun',2) or die "tun $!"; my $r=pack('a16sa22',$ARGV[0],0x1001,'');
ioctl($t,0x400454ca,$r) or die "tun $!"; print "ready\\n"; <STDIN>;`;

describe("queues", () => {
  test("a shaper that is offered too much: rate, burst and limit are told, and what it should have", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await silenceIpv6(world);
    await tc(
      client,
      "qdisc",
      "add",
      "dev",
      client.dev,
      "root",
      "handle",
      "7:",
      "tbf",
      "rate",
      "100kbit",
      "burst",
      "2000",
      "limit",
      "3000",
    );
    const send = () => sendTo(client, server.address, { count: 200, size: 1000 });
    const result = await traceDrops(send);
    const lost = await queueDrops(client, "tbf");
    const finding = await findingAt(client, result, "qdisc-shaper");
    expect(lost).toBeGreaterThan(150);
    expect(finding).toMatchObject({ severity: "problem", count: lost });
    expect(finding["summary"]).toMatch(
      new RegExp(
        `^The queue on ${client.dev} \\(tbf 7:\\) drops packets: it is offered .* and lets 100 kbit/s through$`,
      ),
    );
    expect(evidenceOf(finding)).toContain("tbf: rate 100 kbit/s, burst 2.0 KiB, limit 2.9 KiB");
    expect(evidenceOf(finding)).toContain(`${lost} drop events seen on ${client.dev}`);
    expect(evidenceOf(finding)).toContain(`IpOutDiscards +${lost}`);
    expect(await rowsAt(client, result, "QDISC_DROP")).toMatchObject([
      { destination: server.address, dev: client.dev, count: lost },
    ]);
    expect(finding["fix"][0]).toMatch(
      new RegExp(
        `^ip netns exec ${client.netns} tc qdisc change dev ${client.dev} root handle 7: tbf rate \\d+kbit burst \\d+ limit \\d+$`,
      ),
    );
    await paste(finding);
    await send();
    expect(await queueDrops(client, "tbf")).toBe(lost);
  });

  test("a bucket smaller than the packets", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await silenceIpv6(world);
    await tc(
      client,
      "qdisc",
      "add",
      "dev",
      client.dev,
      "root",
      "tbf",
      "rate",
      "1mbit",
      "burst",
      "500",
      "limit",
      "30000",
    );
    const send = () => sendTo(client, server.address, { size: 1000 });
    const finding = await findingAt(client, await traceDrops(send), "qdisc-shaper");
    expect(finding).toMatchObject({ severity: "problem", count: 20 });
    expect(finding["summary"]).toContain("its bucket (burst 500 B) is smaller than the packets (1.0 KiB)");
    await paste(finding);
    await send();
    expect(await queueDrops(client, "tbf")).toBe(20);
  });

  test("a short queue inside a shaper, and the leaf of a class: the inner one is named, not the outer", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await silenceIpv6(world);
    await tc(
      client,
      "qdisc",
      "add",
      "dev",
      client.dev,
      "root",
      "handle",
      "1:",
      "tbf",
      "rate",
      "100kbit",
      "burst",
      "2000",
      "limit",
      "300000",
    );
    await tc(
      client,
      "qdisc",
      "add",
      "dev",
      client.dev,
      "parent",
      "1:1",
      "handle",
      "10:",
      "pfifo",
      "limit",
      "5",
    );
    await tc(server, "qdisc", "add", "dev", server.dev, "root", "handle", "1:", "htb", "default", "10");
    await tc(
      server,
      "class",
      "add",
      "dev",
      server.dev,
      "parent",
      "1:",
      "classid",
      "1:10",
      "htb",
      "rate",
      "100kbit",
    );
    await tc(
      server,
      "qdisc",
      "add",
      "dev",
      server.dev,
      "parent",
      "1:10",
      "handle",
      "20:",
      "pfifo",
      "limit",
      "3",
    );
    const result = await traceDrops(async () => {
      await sendTo(client, server.address, { count: 200, size: 1000 });
      await sendTo(server, client.address, { count: 200, size: 1000 });
    });
    const inner = await findingAt(client, result, "qdisc-full");
    const lost = await queueDrops(client, "pfifo");
    expect(inner).toMatchObject({ severity: "problem", count: lost });
    expect(inner["summary"]).toContain(
      `The queue on ${client.dev} (pfifo 10:, parent 1:1) drops packets: it holds only 5 packets and was full, since the tbf around it`,
    );
    expect(evidenceOf(inner)).toContain("pfifo: limit 5 packets, inside tbf 1: with rate 100 kbit/s");
    const leaf = await findingAt(server, result, "qdisc-full");
    expect(leaf["summary"]).toContain(
      `(pfifo 20:, parent 1:10) drops packets: it holds only 3 packets and was full, since the htb`,
    );
    expect(leaf["fix"][0]).toBe(
      `ip netns exec ${server.netns} tc qdisc change dev ${server.dev} parent 1:10 handle 20: pfifo limit 1024`,
    );
    await paste(inner);
    await paste(leaf);
    await sendTo(client, server.address, { count: 200, size: 1000 });
    expect(await queueDrops(client, "pfifo")).toBe(lost);
  });
});

describe("links", () => {
  test("without carrier: the other end is named, and bringing it up mends it", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await silenceIpv6(world);
    await ip(client, "neigh", "replace", server.address, "lladdr", "02:00:00:00:00:09", "dev", client.dev);
    await ip(server, "link", "set", server.dev, "down");
    const finding = await findingAt(
      client,
      await traceDrops(() => sendTo(client, server.address)),
      "link-no-carrier",
    );
    expect(finding).toMatchObject({
      severity: "problem",
      count: 20,
      summary: `${client.dev} has no carrier: its other end ${server.dev} in namespace "${server.netns}" is down; 20 packets for it thrown away`,
      fix: [`ip netns exec ${server.netns} ip link set dev ${server.dev} up`],
    });
    expect(evidenceOf(finding)).toContain(`TX dropped of ${client.dev} +20`);
    await paste(finding);
    await ip(client, "neigh", "del", server.address, "dev", client.dev);
    await sendTo(client, server.address);
    await untilCounter(server, "UdpNoPorts", 20);
  });

  test("to a program: one that is not running, and one that does not read", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await ip(server, "tuntap", "add", "tun7", "mode", "tun");
    await ip(server, "addr", "add", "10.85.0.1/24", "dev", "tun7");
    await ip(server, "link", "set", "tun7", "up");
    await using _tun = await startIn(client, "perl", "-e", HOLD_TUN, "tun8");
    await ip(client, "addr", "add", "10.86.0.1/24", "dev", "tun8");
    await ip(client, "link", "set", "tun8", "txqueuelen", "10", "up");
    const send = () => sendTo(client, "10.86.0.2", { count: 50 });
    const result = await traceDrops(async () => {
      await sendTo(server, "10.85.0.2", { count: 30 });
      await send();
    });
    const gone = await findingAt(server, result, "link-no-carrier");
    expect(gone).toMatchObject({ severity: "problem", count: 30 });
    expect(gone["summary"]).toContain(
      "tun7 has no carrier: the program that should hold it (virtual machine, VPN) is not running",
    );
    const full = await findingAt(client, result, "ring-full");
    expect(full).toMatchObject({
      severity: "problem",
      fix: [`ip netns exec ${client.netns} ip link set dev tun8 txqueuelen 10000`],
    });
    // The device's own greetings take some of the ten places.
    expect(full["count"]).toBeGreaterThanOrEqual(40);
    expect(evidenceOf(full)).toContain("the ring holds 10 packets (txqueuelen)");
    expect(evidenceOf(full)).toContain(`TX dropped of tun8 +${full["count"]}`);
    await paste(full);
    const before = await client.run("cat", "/sys/class/net/tun8/statistics/tx_dropped");
    await send();
    expect(await client.run("cat", "/sys/class/net/tun8/statistics/tx_dropped")).toBe(before);
  });

  test("frames of a kind nobody takes are a note, spanning tree's own not even that", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const result = await traceDrops(async () => {
      await sendFrames(client, { to: EVERYBODY, type: "88b5", payload: "00".repeat(50) });
      await sendFrames(client, { to: EVERYBODY, type: "88cc", payload: "00".repeat(50) });
      await sendFrames(client, { to: "0180c2000000", type: "0026", payload: `424203${"00".repeat(50)}` });
    });
    const findings = await findingsAt(server, result);
    expect(findings).toMatchObject([
      {
        id: "ethertype-unknown",
        severity: "info",
        count: 20,
        summary: `20 frames of EtherType 0x88b5 arrived on ${server.dev}, and nothing here takes that kind`,
      },
    ]);
    expect(evidenceOf(findings[0]!)).toContain(`they are counted as RX dropped of ${server.dev} (+40)`);
    expect(await rowsAt(server, result, "NOT_SPECIFIED")).toContainEqual(
      expect.objectContaining({ location: "stp_pdu_rcv", benign: true, count: 20 }),
    );
  });
});

describe("traffic control", () => {
  test("filters that drop on the way in and out: each is named and can be deleted by what is printed", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    // Classic BPF, "return 2": TC_ACT_SHOT. Needs no compiler.
    const drop = ["bpf", "da", "bytecode", "1,6 0 0 2,"];
    await tc(server, "qdisc", "add", "dev", server.dev, "clsact");
    await tc(server, "filter", "add", "dev", server.dev, "ingress", "protocol", "ip", "pref", "7", ...drop);
    // Without this the filter would take the question for the address, and the datagrams would never get so far.
    const mac = (await server.run("cat", `/sys/class/net/${server.dev}/address`)).trim();
    await ip(client, "neigh", "replace", server.address6, "lladdr", mac, "dev", client.dev);
    await tc(client, "qdisc", "add", "dev", client.dev, "clsact");
    await tc(client, "filter", "add", "dev", client.dev, "egress", "protocol", "ipv6", "pref", "9", ...drop);
    const result = await traceDrops(async () => {
      await sendTo(client, server.address);
      await sendTo(client, server.address6, { count: 21 });
    });
    const ingress = await findingAt(server, result, "tc-filter");
    expect(ingress).toMatchObject({
      severity: "problem",
      count: 20,
      summary: `A tc filter on ${server.dev} (ingress, pref 7, bpf) drops packets: 20`,
      fix: [
        `ip netns exec ${server.netns} tc filter del dev ${server.dev} ingress protocol ip pref 7 handle 0x1 bpf`,
      ],
    });
    expect(evidenceOf(ingress)).toContain(`clsact of ${server.dev} counts 20 drops`);
    const egress = await findingAt(client, result, "tc-filter");
    expect(egress).toMatchObject({ severity: "problem" });
    expect(egress["count"]).toBeGreaterThanOrEqual(21);
    expect(egress["summary"]).toContain(`A tc filter on ${client.dev} (egress, pref 9, bpf) drops packets`);
    await paste(ingress);
    await paste(egress);
    const before = [await readCounter(server, "UdpNoPorts"), await readCounter(server, "Udp6NoPorts")];
    await sendTo(client, server.address);
    await sendTo(client, server.address6);
    await untilCounter(server, "UdpNoPorts", (before[0] ?? 0) + 20);
    await untilCounter(server, "Udp6NoPorts", (before[1] ?? 0) + 20);
  });

  test("a redirection to a device that is down; among filters only the one that counts is blamed", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await ip(server, "link", "add", "ifb7", "type", "ifb");
    await tc(server, "qdisc", "add", "dev", server.dev, "clsact");
    const to = ["action", "mirred", "egress", "redirect", "dev", "ifb7"];
    const match = (dest: string) => ["u32", "match", "ip", "dst", dest];
    await tc(
      server,
      "filter",
      "add",
      "dev",
      server.dev,
      "ingress",
      "protocol",
      "ip",
      "pref",
      "5",
      ...match("10.0.0.0/16"),
      ...to,
    );
    await tc(
      server,
      "filter",
      "add",
      "dev",
      server.dev,
      "ingress",
      "protocol",
      "ip",
      "pref",
      "6",
      ...match(`${server.address}/32`),
      ...to,
    );
    const finding = await findingAt(
      server,
      await traceDrops(() => sendTo(client, server.address)),
      "tc-filter",
    );
    expect(finding).toMatchObject({ severity: "problem", count: 20 });
    expect(finding["summary"]).toContain(`(ingress, pref 6, u32) redirects packets to where they cannot go`);
    expect(evidenceOf(finding)).toContain("ifb7 is down");
    expect(finding["fix"]).toEqual([
      `ip netns exec ${server.netns} tc filter del dev ${server.dev} ingress protocol ip pref 6 handle 801::800 u32`,
    ]);
    const before = await readCounter(server, "UdpNoPorts");
    await paste(finding);
    await sendTo(client, server.address);
    await untilCounter(server, "UdpNoPorts", before + 20);
  });
});

describe("programs", () => {
  test.each([
    ["xdpgeneric", "generic"],
    ["xdpdrv", "native"],
  ])(
    "an XDP program (%s) is named with its id, and can be detached by what is printed",
    async (flag, mode) => {
      await using world = await createWorld();
      const { client, server } = world;
      await warmUp(world);
      const attach = `mount -t bpf bpf /sys/fs/bpf && perl -e "$1" 6 1 /sys/fs/bpf/drop && ip link set dev ${server.dev} ${flag} pinned /sys/fs/bpf/drop`;
      await server.run("bash", "-c", attach, "bash", PIN_PROGRAM);
      const finding = await findingAt(
        server,
        await traceDrops(() => sendTo(client, server.address)),
        "xdp-drop",
      );
      expect(finding).toMatchObject({ severity: "problem" });
      expect(finding["count"]).toBeGreaterThanOrEqual(20);
      expect(finding["summary"]).toContain(
        `The XDP program drop_all (${mode}) on ${server.dev} drops packets`,
      );
      expect(evidenceOf(finding)).toMatch(/attached to \S+: program id \d+, name drop_all/);
      expect(finding["fix"][0]).toBe(
        `ip netns exec ${server.netns} ip link set dev ${server.dev} ${flag} off`,
      );
      if (mode === "native") expect(evidenceOf(finding)).toContain("the driver counts");
      const before = await readCounter(server, "UdpNoPorts");
      await paste(finding);
      await sendTo(client, server.address);
      await untilCounter(server, "UdpNoPorts", before + 20);
    },
  );

  test("a control group whose eBPF program lets nothing out", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    // Commands in a namespace have a /sys of their own, without control groups: each mounts them for itself.
    const group = `/sys/fs/cgroup/${client.netns}`;
    const inGroups = (then: string) => `mount -t cgroup2 cgroup2 /sys/fs/cgroup && ${then}`;
    await client.run("bash", "-c", inGroups(`mkdir ${group}`));
    await using _group = {
      [Symbol.asyncDispose]: async () => void (await client.run("bash", "-c", inGroups(`rmdir ${group}`))),
    };
    await using _program = await startIn(
      client,
      "bash",
      "-c",
      inGroups(`exec perl -e "$1" ${group}`),
      "bash",
      FORBID_EGRESS,
    );
    const send = `echo $$ > ${group}/cgroup.procs && exec perl -e 'use Socket; socket(my $s,PF_INET,SOCK_DGRAM,17);
      send($s,"x",0,sockaddr_in(9,inet_aton("${server.address}"))) for 1..20'`;
    const result = await traceDrops(() => client.run("bash", "-c", inGroups(send)));
    const finding = await findingAt(client, result, "cgroup-bpf");
    expect(finding).toMatchObject({ severity: "problem", count: 20 });
    expect(finding["summary"]).toContain(
      "an eBPF program of the sending process's control group forbids them",
    );
    expect(finding["check"][0]).toBe("bpftool cgroup tree");
  });
});

describe("bridges and tunnels", () => {
  test("a port that spanning tree keeps closed, with its state; without spanning tree it forwards", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await ip(server, "link", "add", "br0", "type", "bridge", "stp_state", "1", "forward_delay", "1500");
    await ip(server, "link", "set", server.dev, "master", "br0");
    await ip(server, "link", "set", "br0", "up");
    const send = () => sendFrames(client, { to: EVERYBODY, type: "88b5", payload: "00".repeat(50) });
    const finding = await findingAt(server, await traceDrops(send), "bridge-port-blocked");
    expect(finding).toMatchObject({ severity: "suspicious" });
    expect(finding["count"]).toBeGreaterThanOrEqual(20);
    expect(finding["summary"]).toMatch(
      new RegExp(
        `^Port ${server.dev} of bridge br0 does not forward \\(spanning tree: (?:listening|learning)\\): \\d+ frames dropped$`,
      ),
    );
    expect(evidenceOf(finding)).toContain("2 × 15 s");
    expect(finding["fix"]).toEqual([
      `ip netns exec ${server.netns} ip link set dev br0 type bridge stp_state 0`,
      `ip netns exec ${server.netns} bridge link set dev ${server.dev} state 3`,
    ]);
    await paste(finding);
    const [port] = JSON.parse(await server.run("bridge", "-j", "link", "show", "dev", server.dev)) as {
      state: string;
    }[];
    expect(port?.state).toBe("forwarding");
  });

  test("a bridge that is down, and frames for this host with another MAC address", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await ip(server, "link", "add", "br0", "type", "bridge");
    await ip(server, "link", "set", server.dev, "master", "br0");
    const payload = ipv4Packet(server.address, client.address);
    const result = await traceDrops(async () => {
      await sendFrames(client, { to: EVERYBODY, type: "88b5", payload: "00".repeat(50) });
      await sendFrames(server, { to: "020000000099", type: "0800", payload });
    });
    const down = await findingAt(server, result, "bridge-down");
    expect(down).toMatchObject({ severity: "problem" });
    expect(down["fix"]).toEqual([`ip netns exec ${server.netns} ip link set dev br0 up`]);
    const astray = await findingAt(client, result, "other-mac");
    expect(astray).toMatchObject({ severity: "suspicious", count: 20 });
    expect(astray["summary"]).toContain(`20 packets for ${client.address}, an address of this host`);
  });

  test("ports that may not talk to each other; let off, they do", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await ip(server, "link", "add", "br0", "type", "bridge", "forward_delay", "0");
    await ip(server, "link", "set", server.dev, "master", "br0");
    await ip(server, "link", "add", "p0", "type", "veth", "peer", "name", "p1");
    await ip(server, "link", "set", "p0", "master", "br0", "up");
    await ip(server, "link", "set", "p1", "up");
    await ip(server, "link", "set", "br0", "up");
    const mac = (await server.run("cat", "/sys/class/net/p1/address")).trim();
    await server.run("bridge", "fdb", "replace", mac, "dev", "p0", "master", "static");
    for (const port of [server.dev, "p0"]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await server.run("bridge", "link", "set", "dev", port, "isolated", "on");
    }
    const send = () =>
      sendFrames(client, { to: mac.replaceAll(":", ""), type: "88b5", payload: "00".repeat(50) });
    const finding = await findingAt(server, await traceDrops(send), "bridge-port-isolated");
    expect(finding).toMatchObject({
      severity: "problem",
      count: 20,
      summary: `Port ${server.dev} of bridge br0 is isolated: 20 frames for other isolated ports dropped`,
      fix: [`ip netns exec ${server.netns} bridge link set dev ${server.dev} isolated off`],
    });
    expect(evidenceOf(finding)).toContain("isolated as well: p0");
    await paste(finding);
    const again = await traceDrops(send);
    const ids = (again.summary["findings"] as { id: string }[]).map(({ id }) => id);
    expect(ids).not.toContain("bridge-port-isolated");
  });

  test("a port with a smaller MTU than the frames of the others", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await ip(server, "link", "add", "br0", "type", "bridge");
    await ip(server, "link", "set", server.dev, "master", "br0");
    await ip(server, "link", "add", "p0", "type", "veth", "peer", "name", "p1");
    await ip(server, "link", "set", "p0", "mtu", "500", "master", "br0", "up");
    await ip(server, "link", "set", "p1", "mtu", "500", "up");
    await ip(server, "link", "set", "br0", "mtu", "1500", "up");
    const send = () => sendFrames(client, { to: EVERYBODY, type: "88b5", payload: "00".repeat(900) });
    const finding = await findingAt(server, await traceDrops(send), "mtu-too-big");
    expect(finding).toMatchObject({
      severity: "problem",
      count: 20,
      fix: [`ip netns exec ${server.netns} ip link set dev p0 mtu 1500`],
    });
    expect(finding["summary"]).toContain("did not fit into p0 (MTU 500)");
    expect(evidenceOf(finding)).toContain("all ports of a bridge need the same MTU");
  });

  test("VXLAN with two network ids", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    for (const [host, other, id] of [
      [client, server, "5"],
      [server, client, "6"],
    ] as const) {
      await ip(
        host,
        "link",
        "add",
        "vx0",
        "type",
        "vxlan",
        "id",
        id,
        "remote",
        other.address,
        "dstport",
        "4789",
        "dev",
        host.dev,
      );
      await ip(host, "link", "set", "vx0", "up");
    }
    await ip(client, "addr", "add", "10.86.0.1/24", "dev", "vx0");
    await ip(client, "neigh", "add", "10.86.0.2", "lladdr", "02:00:00:00:00:22", "dev", "vx0");
    const result = await traceDrops(() => sendTo(client, "10.86.0.2"));
    const finding = await findingAt(server, result, "vxlan-unknown-network");
    expect(finding).toMatchObject({ severity: "problem" });
    expect(finding["count"]).toBeGreaterThanOrEqual(20);
    expect(evidenceOf(finding)).toContain(`from ${client.address}`);
  });
});
