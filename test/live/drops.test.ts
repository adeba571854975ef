import { describe, expect, test } from "vitest";
import { traceDuring } from "./support/trace.ts";
import { createWorld } from "./support/world.ts";

/** Sends `count` datagrams of `size` bytes as fast as it can; perl-base is on every Debian. */
const FLOOD = `use Socket; my ($ip,$port,$n,$size)=@ARGV;
socket(my $s,PF_INET,SOCK_DGRAM,17) or die; connect($s,sockaddr_in($port,inet_aton($ip))) or die;
my $m='x' x $size; for(my $i=0;$i<$n;$i++){send($s,$m,0)}`;

describe("trace drops counts exactly", () => {
  test("400,000 drops by one rule are 400,000, packets and bytes as the rule's own counter", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await server.run("iptables", "-A", "INPUT", "-p", "udp", "--dport", "9999", "-j", "DROP");
    const { summary, code } = await traceDuring(["drops", "--netns", server.netns], () =>
      client.run("perl", "-e", FLOOD, server.address, "9999", "400000", "64"),
    );
    const counter = /(\d+)\s+(\d+)\s+DROP/.exec(await server.run("iptables", "-L", "INPUT", "-vnx"));
    expect(counter?.slice(1)).toEqual(["400000", String(400_000 * 92)]);
    expect(code).toBe(0);
    expect(summary["drops"].byReason["NETFILTER_DROP"]).toBe(400_000);
    expect(summary["unattributed"]).toBe(0);
    expect(summary["lost"]).toBe(0);
    const [row] = summary["flows"];
    expect(row).toMatchObject({
      reason: "NETFILTER_DROP",
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
});
