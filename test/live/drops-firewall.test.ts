import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import {
  breakTools,
  countFlows,
  createRoutedWorld,
  fillConntrack,
  firewallFindings,
  joinHost,
  kernelCan,
  paste,
  pasteAll,
  readQueue,
  sendUdp,
  type FindingRecord,
} from "./support/firewall.ts";
import { sh } from "./support/shell.ts";
import { startTrace, traceDuring } from "./support/trace.ts";
import { createWorld, type Host } from "./support/world.ts";

/** A server on port 80 that ends every connection. */
const LISTEN = `require("net").createServer((s)=>s.on("error",()=>{}).end("x")).listen(80,"0.0.0.0",511,()=>console.log("ok"))`;

/** Starts it, and resolves when it listens. */
async function listen(host: Host): Promise<Disposable> {
  const child = spawn("ip", ["netns", "exec", host.netns, process.execPath, "-e", LISTEN]);
  await once(child.stdout, "data");
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** A connection every 20 ms, 60 of them; each is given up after 1.5 s. */
const CONNECT = `const net=require("net");let n=0;
const t=setInterval(()=>{if(++n>60){clearInterval(t);return}
const s=net.connect(80,process.argv[1]);s.on("error",()=>{}).on("data",()=>{});setTimeout(()=>s.destroy(),1500).unref()},20)`;

const findRule = (findings: readonly FindingRecord[], text: string): FindingRecord | undefined =>
  findings.find(({ rule }) => rule?.text.includes(text));

async function setUp(host: Host, tool: string, rules: readonly string[]): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- rules have an order
  for (const rule of rules) await host.run(tool, ...rule.split(" "));
}

describe("a rule that drops at random", () => {
  test("30 % at INPUT and at OUTPUT, a SYN every 20 ms: both are named, and their commands remove them", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "iptables", [
      "-A INPUT -m statistic --mode random --probability 0.30 -j DROP",
      "-A OUTPUT -m statistic --mode random --probability 0.30 -j DROP",
    ]);
    using listener = await listen(server);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await client.run(process.execPath, "-e", CONNECT, server.address);
      // Nothing is sent again behind the run's back.
      await server.run("ip", "link", "set", server.dev, "down");
    });
    listener[Symbol.dispose]();
    const saved = await server.run("iptables-save", "-c");
    const findings = firewallFindings(result, server);
    expect(findings).toHaveLength(2);
    for (const [chain, words] of [
      ["INPUT", "incoming"],
      ["OUTPUT", "outgoing"],
    ] as const) {
      const finding = findRule(findings, `-A ${chain} `);
      const counted = Number(new RegExp(`\\[(\\d+):\\d+\\] -A ${chain} `).exec(saved)?.[1]);
      expect(counted).toBeGreaterThan(10);
      expect(finding).toMatchObject({
        id: "netfilter-rule",
        severity: "problem",
        summary: `An iptables rule drops 30 % of all ${words} packets at random`,
        count: counted,
        netns: { inode: await server.inode(), name: server.netns },
        check: [`ip netns exec ${server.netns} iptables -t filter -L ${chain} -v -n --line-numbers`],
        fix: [`ip netns exec ${server.netns} iptables -t filter -D ${chain} 1`],
        rule: { tool: "iptables", backend: "nft", table: "filter", chain, number: 1, packets: counted },
      });
      expect(finding?.evidence[0]).toBe(
        `its counter moved by ${counted}, as many as NETFILTER_DROP at ${chain} were seen`,
      );
      expect(countFlows(result, server, { reason: "NETFILTER_DROP", hook: chain })).toBe(counted);
    }
    expect(findings.flatMap(({ evidence }) => evidence).join()).toMatch(/TcpRetransSegs \+\d+/);
    expect(findRule(findings, "-A OUTPUT")?.evidence.join()).toContain("EPERM");
    await pasteAll(findings);
    expect(await server.run("iptables-save")).not.toContain("statistic");
  });
});

describe("every kind of iptables rule", () => {
  test("hooks, tables, chains, matches and targets: each by its own count, and its command removes it", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const comment = `it's "q" $(touch /x) \`y\``;
    await setUp(server, "iptables", [
      "-N LOGGED",
      "-A LOGGED -m limit --limit 1/min -j LOG",
      `-A LOGGED -s ${client.address} -j DROP`,
      "-A INPUT -p udp --dport 1001 -j DROP",
      "-A INPUT -p udp --dport 1002 -j LOGGED",
      "-A INPUT -p udp --dport 1003 -j REJECT",
      "-t raw -A PREROUTING -p udp --dport 1004 -j DROP",
      "-A INPUT -p udp --dport 1005 -m statistic --mode nth --every 4 --packet 0 -j DROP",
      "-A INPUT -p udp --dport 1005 -j ACCEPT",
      "-t mangle -A POSTROUTING -p udp --dport 1007 -j DROP",
      "-A INPUT -p udp --dport 1999 -j DROP",
    ]);
    await server.run(
      "iptables",
      ..."-A INPUT -p udp --dport 1006 -m comment --comment".split(" "),
      comment,
      "-j",
      "DROP",
    );
    await setUp(server, "ip6tables", [
      "-A INPUT -p udp --dport 1008 -j DROP",
      "-A OUTPUT -p udp --dport 1009 -j REJECT",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address, 1002, 12);
      await sendUdp(client, server.address, 1003, 5);
      await sendUdp(client, server.address, 1004, 14);
      await sendUdp(client, server.address, 1005, 40);
      await sendUdp(client, server.address, 1006, 16);
      await sendUdp(server, client.address, 1007, 17);
      await sendUdp(client, server.address6, 1008, 18);
      await sendUdp(server, client.address6, 1009, 3);
    });
    const findings = firewallFindings(result, server);
    const inTable = (table: string, chain: string, packets: number) => ({
      count: packets,
      rule: { table, chain, packets },
    });
    expect(findRule(findings, "1001")).toMatchObject({
      ...inTable("filter", "INPUT", 11),
      summary: "An iptables rule drops incoming UDP packets to port 1001",
    });
    expect(findRule(findings, "-A LOGGED")).toMatchObject(inTable("filter", "LOGGED", 12));
    expect(findRule(findings, "-A LOGGED")?.rule?.number).toBe(2);
    expect(findRule(findings, "-A LOGGED")?.evidence.join()).toMatch(
      /by -A INPUT .*--dport 1002 -j LOGGED \(INPUT #2, \+12\)/,
    );
    expect(findRule(findings, "1003")).toMatchObject({
      ...inTable("filter", "INPUT", 5),
      summary: "An iptables rule rejects incoming UDP packets to port 1003",
    });
    expect(findRule(findings, "1003")?.evidence.join()).toMatch(
      /icmp-port-unreachable: IcmpOutDestUnreachs \+\d+/,
    );
    expect(findRule(findings, "1004")).toMatchObject(inTable("raw", "PREROUTING", 14));
    expect(findRule(findings, "1005")).toMatchObject({
      ...inTable("filter", "INPUT", 10),
      summary: "An iptables rule drops every 4th of the incoming UDP packets to port 1005",
    });
    expect(findRule(findings, "1006")).toMatchObject(inTable("filter", "INPUT", 16));
    expect(findRule(findings, "1007")).toMatchObject(inTable("mangle", "POSTROUTING", 17));
    expect(findRule(findings, "1008")).toMatchObject({
      ...inTable("filter", "INPUT", 18),
      summary: "An ip6tables rule drops incoming UDP packets to port 1008",
    });
    expect(findRule(findings, "1009")).toMatchObject({
      ...inTable("filter", "OUTPUT", 3),
      summary: "An ip6tables rule rejects outgoing UDP packets to port 1009",
    });
    expect(findings).toHaveLength(9);
    expect(findings.every(({ severity }) => severity === "problem")).toBe(true);
    await pasteAll(findings);
    const left = `${await server.run("iptables-save")}${await server.run("ip6tables-save")}`;
    expect(left.split("\n").filter((line) => /-j (?:DROP|REJECT)/.test(line))).toEqual([
      "-A INPUT -p udp -m udp --dport 1999 -j DROP",
    ]);
  });

  test("default policies, of both families, and the commands that let the packets through", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "iptables", ["-A INPUT -p udp --dport 1 -j ACCEPT", "-P INPUT DROP"]);
    await setUp(client, "ip6tables", ["-P OUTPUT DROP"]);
    const result = await traceDuring(["drops"], async () => {
      await sendUdp(client, server.address, 1001, 21);
      await sendUdp(client, server.address6, 1002, 22);
    });
    const [input] = firewallFindings(result, server);
    const [output] = firewallFindings(result, client);
    expect(input).toMatchObject({
      severity: "problem",
      summary: "The default policy of iptables chain INPUT drops incoming UDP packets to port 1001",
      count: 21,
      rule: { table: "filter", chain: "INPUT", number: null, text: "-P INPUT DROP", packets: 21 },
    });
    expect(input?.fix[0]).toBe(
      `ip netns exec ${server.netns} iptables -t filter -A INPUT -p udp --dport 1001 -j ACCEPT`,
    );
    // The namespace also looks for routers and announces itself.
    expect(output).toMatchObject({ rule: { tool: "ip6tables", chain: "OUTPUT", packets: output?.count } });
    expect(countFlows(result, client, { hook: "OUTPUT" })).toBe(output?.count);
    expect(countFlows(result, client, { hook: "OUTPUT", destinationPort: 1002 })).toBe(22);
    expect(output?.evidence.join()).toContain("EPERM");
    await pasteAll([...firewallFindings(result, server), ...firewallFindings(result, client)]);
    await server.run("iptables", "-Z");
    await client.run("ip6tables", "-Z");
    await sendUdp(client, server.address, 1001, 5);
    await sendUdp(client, server.address6, 1002, 6);
    // The narrow rules let these packets through; the policies stay.
    expect(await server.run("iptables-save", "-c")).toMatch(
      /^:INPUT DROP \[0:0\]$[^]*^\[5:\d+\] .*dport 1001/m,
    );
    expect(await client.run("ip6tables-save", "-c")).toMatch(/^:OUTPUT DROP [^]*^\[6:\d+\] .*dport 1002/m);
  });

  test("legacy tables: rules, chains and policies, told from those of nft", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const can = await kernelCan("ipt_do_table", () => server.run("iptables-legacy", "-N", "CHAIN"));
    if (!can) return;
    await setUp(server, "iptables-legacy", [
      "-A CHAIN -j DROP",
      "-A INPUT -p udp --dport 1001 -j DROP",
      "-A INPUT -p udp --dport 1002 -j CHAIN",
      "-A INPUT -p udp --dport 1003 -j REJECT",
      "-P INPUT DROP",
      "-t mangle -A OUTPUT -p udp --dport 1005 -j DROP",
    ]);
    await setUp(server, "ip6tables-legacy", ["-A INPUT -p udp --dport 1006 -j DROP"]);
    await setUp(server, "iptables", ["-t raw -A PREROUTING -p udp --dport 1007 -j DROP"]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address, 1002, 12);
      await sendUdp(client, server.address, 1003, 5);
      await sendUdp(client, server.address, 1004, 14);
      await sendUdp(server, client.address, 1005, 15);
      await sendUdp(client, server.address6, 1006, 16);
      await sendUdp(client, server.address, 1007, 17);
    });
    const findings = firewallFindings(result, server);
    const counts = findings.map(({ rule, count }) => [
      rule?.backend,
      rule?.tool,
      rule?.text,
      count,
      rule?.packets,
    ]);
    expect(counts.sort((a, b) => Number(a[3]) - Number(b[3]))).toEqual([
      [
        "legacy",
        "iptables",
        "-A INPUT -p udp -m udp --dport 1003 -j REJECT --reject-with icmp-port-unreachable",
        5,
        5,
      ],
      ["legacy", "iptables", "-A INPUT -p udp -m udp --dport 1001 -j DROP", 11, 11],
      ["legacy", "iptables", "-A CHAIN -j DROP", 12, 12],
      ["legacy", "iptables", "-P INPUT DROP", 14, 14],
      ["legacy", "iptables", "-A OUTPUT -p udp -m udp --dport 1005 -j DROP", 15, 15],
      ["legacy", "ip6tables", "-A INPUT -p udp -m udp --dport 1006 -j DROP", 16, 16],
      ["nft", "iptables", "-A PREROUTING -p udp -m udp --dport 1007 -j DROP", 17, 17],
    ]);
    await pasteAll(findings);
    const left = `${await server.run("iptables-legacy-save")}${await server.run("ip6tables-legacy-save")}`;
    // The policy stays: a rule in front of it lets the packets through.
    expect(left).not.toMatch(/-j (?:DROP|REJECT)/);
  });
});

describe("on the way through", () => {
  test("FORWARD and POSTROUTING of a router, by iptables, its legacy twin and nft", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using far = await createRoutedWorld(world);
    await setUp(server, "iptables", [
      "-A FORWARD -p udp --dport 1001 -j DROP",
      "-t mangle -A POSTROUTING -p udp --dport 1002 -j DROP",
    ]);
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t f { type filter hook forward priority 10; }",
      "add rule inet t f udp dport 1003 counter drop",
    ]);
    const legacy = await kernelCan("ipt_do_table", () =>
      server.run("iptables-legacy", ..."-A FORWARD -p udp --dport 1004 -j DROP".split(" ")),
    );
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, far.address, 1001, 11);
      await sendUdp(client, far.address, 1002, 12);
      await sendUdp(client, far.address, 1003, 13);
      if (legacy) await sendUdp(client, far.address, 1004, 14);
    });
    const findings = firewallFindings(result, server);
    expect(findRule(findings, "1001")).toMatchObject({
      count: 11,
      summary: "An iptables rule drops forwarded UDP packets to port 1001",
      rule: { chain: "FORWARD", packets: 11 },
    });
    expect(findRule(findings, "1002")).toMatchObject({
      count: 12,
      rule: { table: "mangle", chain: "POSTROUTING" },
    });
    expect(findRule(findings, "1003")).toMatchObject({
      count: 13,
      rule: { tool: "nft", chain: "f", packets: 13 },
    });
    if (legacy)
      expect(findRule(findings, "1004")).toMatchObject({
        count: 14,
        rule: { backend: "legacy", packets: 14 },
      });
    expect(findings).toHaveLength(legacy ? 4 : 3);
    expect(countFlows(result, server, { hook: "FORWARD" })).toBe(legacy ? 38 : 24);
    expect(countFlows(result, server, { hook: "POSTROUTING" })).toBe(12);
    // A router's programs are not told.
    expect(findings.flatMap(({ evidence }) => evidence).join()).not.toContain("EPERM");
    await pasteAll(findings);
    const left = `${await server.run("iptables-save")}${await server.run("nft", "list", "ruleset")}`;
    expect(left).not.toMatch(/drop|DROP/);
  });
});

describe("every kind of nft rule", () => {
  test("families, chains, verdict maps, sets and named counters, each by its own count", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "nft", [
      "add table ip four",
      "add chain ip four in { type filter hook input priority 0; }",
      "add rule ip four in udp dport 1001 counter drop",
      "add table ip6 six",
      "add chain ip6 six in { type filter hook input priority 0; }",
      "add rule ip6 six in udp dport 1002 counter reject",
      "add table inet t",
      "add chain inet t in { type filter hook input priority 5; }",
      "add chain inet t deep",
      "add rule inet t deep counter drop",
      "add rule inet t in udp dport vmap { 1003 : jump deep, 1 : accept }",
      "add set inet t blocked { type ipv4_addr; flags interval; }",
      `add element inet t blocked { ${client.address}/32 }`,
      "add rule inet t in udp dport 1004 ip saddr @blocked counter drop",
      "add map inet t m { type ipv4_addr : verdict; counter; }",
      `add element inet t m { ${client.address} : drop, 192.0.2.1 : drop }`,
      "add rule inet t in udp dport 1005 ip saddr vmap @m",
      "add counter inet t named",
      'add rule inet t in udp dport 1006 counter name "named" drop',
      "add rule inet t in udp dport 1007 numgen random mod 100 < 50 counter drop",
      "add rule inet t in udp dport 1008 limit rate over 1/hour burst 5 packets counter drop",
      "add rule inet t in udp dport 1999 counter drop",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address6, 1002, 5);
      await sendUdp(client, server.address, 1003, 13);
      await sendUdp(client, server.address, 1004, 14);
      await sendUdp(client, server.address, 1005, 15);
      await sendUdp(client, server.address, 1006, 16);
      await sendUdp(client, server.address, 1007, 200);
      await sendUdp(client, server.address, 1008, 18);
    });
    const findings = firewallFindings(result, server);
    const isRule = (table: string, chain: string, packets: number) => ({
      severity: "problem",
      count: packets,
      rule: { tool: "nft", backend: "nft", table, chain, packets, handle: expect.any(Number) },
    });
    expect(findRule(findings, "1001")).toMatchObject(isRule("four", "in", 11));
    expect(findRule(findings, "1002")).toMatchObject({
      ...isRule("six", "in", 5),
      summary: "An nftables rule rejects incoming UDP packets to port 1002",
    });
    const deep = findings.find(({ rule }) => rule?.chain === "deep");
    expect(deep).toMatchObject(isRule("t", "deep", 13));
    expect(deep?.evidence.join()).toContain("packets get to chain deep by udp dport vmap");
    expect(findRule(findings, "@blocked")).toMatchObject(isRule("t", "in", 14));
    expect(findRule(findings, "vmap @m")).toMatchObject(isRule("t", "in", 15));
    expect(findRule(findings, "vmap @m")?.evidence).toContain(`elements: ${client.address} +15`);
    expect(findRule(findings, "vmap @m")?.fix).toEqual([
      `ip netns exec ${server.netns} nft delete element inet t m '{ ${client.address} }'`,
    ]);
    expect(findRule(findings, "1006")).toMatchObject(isRule("t", "in", 16));
    const random = findRule(findings, "1007");
    expect(random?.summary).toBe(
      "An nftables rule drops 50 % of incoming UDP packets to port 1007 at random",
    );
    expect(random?.count).toBe(
      countFlows(result, server, { destinationPort: 1007, reason: "NETFILTER_DROP" }),
    );
    expect(findRule(findings, "1008")).toMatchObject({
      count: 13,
      summary: "An nftables rule drops incoming UDP packets to port 1008 above its limit",
    });
    expect(findings).toHaveLength(8);
    await pasteAll(findings);
    const left = (await server.run("nft", "list", "ruleset"))
      .split("\n")
      .filter((line) => /drop|reject/.test(line));
    expect(left.map((line) => line.trim().replace(/packets \d+ bytes \d+ /, ""))).toEqual(
      ["elements = { 192.0.2.1 counter packets 0 bytes 0 : drop }", "udp dport 1999 counter drop"].map(
        (line) => line.replace(/packets \d+ bytes \d+ /, ""),
      ),
    );
  });

  test("maps of several fields, and chains that a map leads to: what is left falls to the policy", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t deeper",
      "add rule inet t deeper udp dport 1003 counter log drop",
      "add rule inet t deeper meta l4proto udp counter reject with icmpx admin-prohibited",
      "add map inet t ports { type inet_service : verdict; }",
      "add element inet t ports { 1002 : drop, 1003 : jump deeper, 1004 : goto deeper }",
      "add map inet t pairs { type ipv4_addr . inet_service : verdict; counter; }",
      `add element inet t pairs { ${client.address} . 1005 : drop }`,
      "add set inet t many { type ipv4_addr; flags dynamic; timeout 1m; }",
      "add chain inet t in { type filter hook input priority 0; policy drop; }",
      "add rule inet t in meta l4proto ipv6-icmp accept",
      "add rule inet t in udp dport vmap @ports",
      "add rule inet t in ip saddr . udp dport vmap @pairs",
      "add rule inet t in udp dport 1006 add @many { ip saddr limit rate over 2/minute burst 3 packets } counter drop",
      "add rule inet t in udp dport 1006 accept",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1002, 12);
      await sendUdp(client, server.address, 1003, 13);
      await sendUdp(client, server.address, 1004, 5);
      await sendUdp(client, server.address, 1005, 15);
      await sendUdp(client, server.address, 1006, 19);
      await sendUdp(client, server.address, 1099, 20);
    });
    const findings = firewallFindings(result, server);
    const told = findings.map(({ severity, summary, count }) => `${severity} ${count}: ${summary}`);
    expect(told.sort()).toEqual(
      [
        "problem 13: An nftables rule drops incoming UDP packets to port 1003",
        "problem 5: An nftables rule rejects incoming UDP packets to port 1004",
        "problem 15: An nftables rule drops incoming UDP packets to port 1005",
        "problem 16: An nftables rule drops incoming UDP packets to port 1006 above its limit",
        "problem 20: The default policy of nftables chain inet t in drops incoming UDP packets to port 1099",
        "suspicious 12: An nftables rule without a counter probably drops incoming UDP packets to port 1002",
      ].sort(),
    );
  });

  test("on a device, both ways, and for ARP", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const done: string[] = [];
    const attempt = async (symbol: string, host: Host, rules: readonly string[]) => {
      if (await kernelCan(symbol, () => setUp(host, "nft", rules))) done.push(symbol);
    };
    await attempt("nft_do_chain_netdev", server, [
      "add table netdev dev",
      `add chain netdev dev in { type filter hook ingress device ${server.dev} priority 0; }`,
      "add rule netdev dev in udp dport 1001 counter drop",
    ]);
    await attempt("nft_do_chain_inet_ingress", server, [
      "add table inet dev",
      `add chain inet dev in { type filter hook ingress device ${server.dev} priority 0; }`,
      "add rule inet dev in udp dport 1002 counter drop",
    ]);
    await attempt("nft_do_chain_netdev", server, [
      `add chain netdev dev out { type filter hook egress device ${server.dev} priority 0; }`,
      "add rule netdev dev out udp dport 1003 counter drop",
    ]);
    // Asked for by ARP, and had by nobody.
    const nobody = server.address.replace(/\d+$/, "77");
    await attempt("nft_do_chain_arp", server, [
      "add table arp a",
      "add chain arp a in { type filter hook input priority 0; }",
      `add rule arp a in arp daddr ip ${nobody} counter drop`,
    ]);
    const result = await traceDuring(["drops"], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address, 1002, 12);
      await sendUdp(server, client.address, 1003, 13);
      await sendUdp(client, nobody, 1004, 1);
    });
    const findings = firewallFindings(result, server);
    if (done.includes("nft_do_chain_netdev")) {
      expect(findRule(findings, "1001")).toMatchObject({
        count: 11,
        summary: "An nftables rule drops arriving UDP packets to port 1001",
        rule: { family: "netdev", table: "dev", chain: "in", packets: 11 },
      });
      expect(findRule(findings, "1001")?.evidence[0]).toContain("NETFILTER_DROP at INGRESS");
      // Not a hook of IP.
      expect(countFlows(result, server, { hook: null, destinationPort: 1001 })).toBe(11);
      expect(countFlows(result, server, { hook: null, destinationPort: 1003 })).toBe(13);
      expect(findRule(findings, "1003")).toMatchObject({
        count: 13,
        summary: "An nftables rule drops leaving UDP packets to port 1003",
        rule: { table: "dev", chain: "out", packets: 13 },
      });
    }
    if (done.includes("nft_do_chain_inet_ingress")) {
      expect(findRule(findings, "1002")).toMatchObject({ count: 12, rule: { packets: 12 } });
    }
    if (done.includes("nft_do_chain_arp")) {
      const arp = findings.find(({ rule }) => rule?.table === "a");
      expect(arp?.count).toBeGreaterThan(0);
      expect(arp).toMatchObject({
        summary: "An nftables rule drops incoming ARP packets",
        rule: { chain: "in", packets: arp?.count },
      });
      expect(countFlows(result, server, { proto: "arp", hook: null })).toBe(arp?.count);
    }
    expect(findings).toHaveLength(done.length);
    await pasteAll(findings);
    expect(await server.run("nft", "list", "ruleset")).not.toContain("drop");
  });

  test("without a counter: suspected by what it asks of a packet, and proven by the command that is printed", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t in { type filter hook input priority 0; }",
      "add rule inet t in udp dport 1001 drop",
      "add rule inet t in udp dport { 1002, 1005-1009 } drop",
      "add rule inet t in ip saddr 192.0.2.0/24 drop",
      "add rule inet t in udp dport 1003 meta mark 0 drop",
      "add rule inet t in udp dport 1003 meta pkttype host drop",
      "add rule inet t in udp dport 1004 counter drop",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address, 1007, 12);
      await sendUdp(client, server.address, 1003, 13);
      await sendUdp(client, server.address, 1004, 14);
    });
    const findings = firewallFindings(result, server);
    expect(findRule(findings, "1004")).toMatchObject({ severity: "problem", count: 14 });
    const alone = findRule(findings, "1001");
    expect(alone).toMatchObject({
      severity: "suspicious",
      summary: "An nftables rule without a counter probably drops incoming UDP packets to port 1001",
      count: 11,
      rule: { table: "t", chain: "in", text: "udp dport 1001 drop", packets: null },
    });
    expect(findRule(findings, "1002")).toMatchObject({ severity: "suspicious", count: 12 });
    const two = findRule(findings, "1003");
    expect(two).toMatchObject({ severity: "suspicious", count: 13 });
    expect(two?.summary).toMatch(/^One of 2 rules/);
    expect(two?.fix.every((line) => line.startsWith("# if it is this one: "))).toBe(true);
    expect(findings).toHaveLength(4);
    // The printed trace says that it is this rule.
    const recipe = alone?.check.find((command) => command.includes("nft monitor trace")) ?? "";
    const traced = paste(recipe.replace("timeout 10", "timeout 2"));
    const done = new AbortController();
    const sent = (async () => {
      // oxlint-disable-next-line no-await-in-loop -- until the trace has seen one
      while (!done.signal.aborted) await sendUdp(client, server.address, 1001, 1);
    })();
    const trace = await traced.finally(() => done.abort());
    await sent;
    expect(trace).toMatch(/inet t in rule udp dport 1001 drop \(verdict drop\)/);
    expect(await server.run("nft", "list", "tables")).not.toContain("trace_tmp");
    await pasteAll([alone].filter((finding) => finding !== undefined));
    expect(await server.run("nft", "list", "ruleset")).not.toContain("dport 1001");
  });

  test("a chain's policy, which nft does not count: named where no rule is left", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t in { type filter hook input priority 0; policy drop; }",
      "add rule inet t in meta l4proto ipv6-icmp accept",
      "add rule inet t in udp dport 1001 drop",
      "add rule inet t in udp dport 1002 counter drop",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1002, 12);
      await sendUdp(client, server.address, 1003, 13);
    });
    const findings = firewallFindings(result, server);
    expect(findings).toHaveLength(2);
    expect(findings.find(({ count }) => count === 13)).toMatchObject({
      severity: "problem",
      summary: "The default policy of nftables chain inet t in drops incoming UDP packets to port 1003",
      rule: { table: "t", chain: "in", number: null, handle: null, packets: null },
    });
    await pasteAll(findings);
    const rules = await server.run("nft", "list", "chain", "inet", "t", "in");
    expect(rules).toContain("policy drop");
    expect(rules).toContain("udp dport 1003 accept");
    expect(rules).not.toContain("1002");
  });
});

describe("on a bridge", () => {
  test("rules of the bridge family, and IP rules that a bridge asks", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using bridge = await joinHost(server, 1);
    // client and server get a second way to each other, over the third host's bridge.
    const [near, far] = [`b${client.dev}`, `b${server.dev}`];
    await sh(
      "ip",
      ...`link add ${near} netns ${client.netns} type veth peer name ${far} netns ${bridge.netns}`.split(" "),
    );
    await client.run("ip", "addr", "add", "10.84.1.9/24", "dev", near);
    await client.run("ip", "link", "set", near, "up");
    await bridge.run("ip", "addr", "flush", "dev", bridge.dev);
    const can = await kernelCan("br_add_bridge", () =>
      bridge.run("ip", ..."link add br0 type bridge".split(" ")),
    );
    if (!can) return;
    await bridge.run("ip", "addr", "add", "10.84.1.2/24", "dev", "br0");
    for (const device of [bridge.dev, far]) {
      // oxlint-disable-next-line no-await-in-loop -- ports first
      await bridge.run("ip", "link", "set", device, "master", "br0", "up");
    }
    await bridge.run("ip", "link", "set", "br0", "up");
    const family = await kernelCan("nft_do_chain_bridge", () =>
      setUp(bridge, "nft", [
        "add table bridge b",
        "add chain bridge b way { type filter hook forward priority 0; }",
        "add rule bridge b way udp dport 1001 counter drop",
        "add chain bridge b pre { type filter hook prerouting priority 0; }",
        "add rule bridge b pre udp dport 1002 counter drop",
        "add chain bridge b in { type filter hook input priority 0; }",
        "add rule bridge b in udp dport 1003 counter drop",
      ]),
    );
    const asked = await kernelCan("br_nf_pre_routing", () =>
      bridge.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"),
    );
    await setUp(bridge, "iptables", ["-A FORWARD -p udp --dport 1004 -j DROP"]);
    const result = await traceDuring(["drops", "--netns", bridge.netns], async () => {
      // Until the bridge's ports forward.
      for (let tries = 0; tries < 200; tries += 1) {
        // oxlint-disable-next-line no-await-in-loop -- polls a state
        const ports = await bridge.run("bridge", "link", "show");
        if ((ports.match(/state forwarding/g) ?? []).length === 2) break;
      }
      await sendUdp(client, bridge.near, 1001, 11);
      await sendUdp(client, bridge.near, 1002, 12);
      await sendUdp(client, "10.84.1.2", 1003, 13);
      await sendUdp(client, bridge.near, 1004, 14);
    });
    const findings = firewallFindings(result, bridge);
    if (family) {
      expect(findRule(findings, "1001")).toMatchObject({
        severity: "problem",
        count: 11,
        rule: { tool: "nft", family: "bridge", table: "b", chain: "way", packets: 11 },
      });
      expect(findRule(findings, "1002")).toMatchObject({ count: 12, rule: { chain: "pre", packets: 12 } });
      expect(findRule(findings, "1003")).toMatchObject({ count: 13, rule: { chain: "in", packets: 13 } });
    }
    if (asked) {
      expect(findRule(findings, "1004")).toMatchObject({
        count: 14,
        rule: { tool: "iptables", chain: "FORWARD", packets: 14 },
      });
    }
    expect(findings).toHaveLength((family ? 3 : 0) + (asked ? 1 : 0));
    // One at a time, the stacks tell the hook: none of IP's for the bridge's own, IP's where the bridge asks its rules.
    const alone = async (port: number) => {
      const run = await traceDuring(["drops", "--netns", bridge.netns], () =>
        sendUdp(client, bridge.near, port, 5),
      );
      return (hook: string | null) => countFlows(run, bridge, { hook, destinationPort: port });
    };
    if (family) expect((await alone(1001))(null)).toBe(5);
    if (asked) expect((await alone(1004))("FORWARD")).toBe(5);
    await pasteAll(findings);
    expect(await bridge.run("nft", "list", "ruleset")).not.toContain("drop");
  });
});

describe("connection tracking", () => {
  test("a full table is told from rules, with its size and the setting that enlarges it", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "iptables", [
      "-A INPUT -m conntrack --ctstate NEW -p udp --dport 1001 -j DROP",
      "-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    ]);
    const max = Number(await server.run("cat", "/proc/sys/net/netfilter/nf_conntrack_max"));
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await fillConntrack(server, max);
      await sendUdp(client, server.address, 1002, 12);
    });
    const findings = firewallFindings(result, server);
    expect(findings).toHaveLength(2);
    expect(findRule(findings, "1001")).toMatchObject({ count: 11, rule: { packets: 11 } });
    const full = findings.find(({ id }) => id === "netfilter-conntrack-full");
    const table = max.toLocaleString("en-US");
    expect(full).toMatchObject({
      severity: "problem",
      summary: `The connection tracking table is full (${table} of ${table}): new connections are dropped`,
      count: 12,
    });
    expect(full?.evidence[0]).toContain("drop +12");
    expect(full?.evidence).toContainEqual(
      expect.stringMatching(
        new RegExp(
          `^kernel log: nf_conntrack: (?:nf_conntrack: )?table full in netns ${await server.inode()}, dropping packet`,
        ),
      ),
    );
    expect(countFlows(result, server, { reason: "NETFILTER_DROP", destinationPort: 1002 })).toBe(12);
    // The limit is the host's: its command is not run here.
    expect(full?.fix[0]).toBe(
      `sysctl -w net.netfilter.nf_conntrack_max=${2 ** Math.ceil(Math.log2(max * 2))}`,
    );
    for (const command of full?.check ?? []) {
      // oxlint-disable-next-line no-await-in-loop -- pasted one after the other
      expect(await paste(command)).toMatch(/nf_conntrack_max = \d+|10\.200\.0\.\d+/);
    }
  });

  test("address translation without a free port, and what connection tracking calls invalid", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await using far = await createRoutedWorld(world);
    await setUp(server, "iptables", [
      `-t nat -A POSTROUTING -p udp -j SNAT --to-source ${far.near}:5000`,
      "-A INPUT -m conntrack --ctstate INVALID -j DROP",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      // Five sockets want the one port that there is.
      for (let socket = 0; socket < 5; socket += 1) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await sendUdp(client, far.address, 1001, 1);
      }
      // TCP segments with flags that no connection ever has.
      await client.run(
        "perl",
        "-e",
        `use Socket; socket(my $s,AF_INET,SOCK_RAW,6) or die;
         for(1..7){send($s,pack("nnNNnnnn",1234,80,1,1,0x503f,100,0,0),0,sockaddr_in(0,inet_aton($ARGV[0]))) or die}`,
        server.address,
      );
    });
    const findings = firewallFindings(result, server);
    expect(findings).toHaveLength(2);
    expect(findings.find(({ id }) => id === "netfilter-conntrack-clash")).toMatchObject({
      severity: "problem",
      summary: "Address translation finds no free port for new connections, they are dropped",
      count: 4,
      fix: [
        `ip netns exec ${server.netns} iptables -t nat -R POSTROUTING 1 -p udp -j SNAT --to-source ${far.near}`,
      ],
    });
    const invalid = findRule(findings, "INVALID");
    expect(invalid).toMatchObject({
      count: 7,
      summary:
        "An iptables rule drops incoming TCP packets to port 80 that belong to no known connection (INVALID)",
      rule: { packets: 7 },
    });
    expect(invalid?.evidence.join()).toContain('its counter "invalid" moved by 7');
    await pasteAll(findings);
    await far.run("iptables", ..."-A INPUT -p udp --dport 1002 -j ACCEPT".split(" "));
    for (let socket = 0; socket < 5; socket += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await sendUdp(client, far.address, 1002, 1);
    }
    expect(await far.run("iptables", "-nvxL", "INPUT")).toMatch(/^\s+5 .*dpt:1002/m);
  });
});

describe("packets for a program", () => {
  test("a queue that no program reads, one that is full, and one whose program says drop", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "iptables", ["-A INPUT -p udp -j NFQUEUE --queue-num 3"]);
    const nobody = await traceDuring(["drops", "--netns", server.netns], () =>
      sendUdp(client, server.address, 1001, 11),
    );
    const [unread] = firewallFindings(nobody, server);
    expect(unread).toMatchObject({
      id: "netfilter-queue",
      severity: "problem",
      summary: "A rule sends packets to queue 3, which no program reads: they are dropped",
      count: 11,
      rule: { chain: "INPUT", number: 1, packets: 11 },
      fix: [
        `ip netns exec ${server.netns} iptables -t filter -R INPUT 1 -p udp -j NFQUEUE --queue-num 3 --queue-bypass`,
      ],
    });

    // A program that takes two and answers none: the queue is two long.
    using holder = await readQueue(server, "hold");
    const held = await traceDuring(["drops", "--netns", server.netns], () =>
      sendUdp(client, server.address, 1001, 9),
    );
    expect(firewallFindings(held, server)).toMatchObject([
      { summary: "Queue 3 to a program is full, packets are dropped", count: 7, rule: { packets: 9 } },
    ]);
    expect(firewallFindings(held, server)[0]?.evidence.join()).toContain("2 waiting, full +7");
    await holder.end();

    using judge = await readQueue(server, "drop");
    const judged = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 2);
      for (let tries = 0; tries < 200; tries += 1) {
        // oxlint-disable-next-line no-await-in-loop -- until both are answered
        const [, , , waiting, , , , , sequence] = (
          await server.run("cat", "/proc/net/netfilter/nfnetlink_queue")
        ).split(/\s+/);
        if (waiting === "0" && Number(sequence) >= 2) break;
      }
    });
    expect(firewallFindings(judged, server)).toMatchObject([
      { summary: "The program that reads queue 3 said drop", count: 2 },
    ]);

    await judge.end();

    for (const command of unread?.fix ?? []) {
      // oxlint-disable-next-line no-await-in-loop -- pasted one after the other
      await paste(command);
    }
    expect(await server.run("iptables", "-S", "INPUT")).toContain("--queue-bypass");
  });
});

describe("what is not certain", () => {
  test("rules that come and go during the run", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t in { type filter hook input priority 0; }",
      "add rule inet t in udp dport 1002 counter drop",
    ]);
    const rules = await server.run("nft", "-a", "list", "ruleset");
    const handle = /dport 1002 .* # handle (\d+)/.exec(rules)?.[1] ?? "";
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await setUp(server, "nft", ["add rule inet t in udp dport 1001 counter drop"]);
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address, 1002, 12);
      await setUp(server, "nft", [
        `delete rule inet t in handle ${handle}`,
        "add chain inet t brief { type filter hook input priority 5; policy drop; }",
      ]);
      await sendUdp(client, server.address, 1003, 13);
      await setUp(server, "nft", ["delete chain inet t brief"]);
    });
    const findings = firewallFindings(result, server);
    expect(findRule(findings, "1001")).toMatchObject({
      severity: "problem",
      count: 11,
      rule: { packets: 11 },
    });
    expect(findRule(findings, "1001")?.evidence).toContain("the rule was added during the run");
    expect(findRule(findings, "1002")).toMatchObject({
      severity: "problem",
      count: 12,
      summary:
        "An nftables rule that was taken away during the run dropped incoming UDP packets to port 1002",
      fix: [expect.stringMatching(/^# nothing to do: it is gone\. .*nft monitor/)],
    });
    const gone = findings.find(({ id }) => id === "netfilter-unexplained");
    expect(gone).toMatchObject({ severity: "suspicious", count: 13 });
    expect(gone?.evidence.join()).toContain("one that came and went in between");
    expect(findings).toHaveLength(3);
  });

  test("a ruleset that is loaded again, and rules that iptables does not find by their text", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const recent = "-p udp --dport 1003 -m recent --name x --update --seconds 60 --hitcount 2 -j DROP";
    await setUp(server, "iptables", [
      "-A INPUT -p udp --dport 1001 -j DROP",
      `-A INPUT ${recent}`,
      "-A INPUT -p udp --dport 1003 -m recent --name x --set",
      "-A INPUT -p udp -j ACCEPT",
    ]);
    await setUp(server, "nft", [
      "add table inet t",
      "add set inet t ports { type inet_service; elements = { 1002, 1004 }; }",
      "add chain inet t in { type filter hook input priority -5; }",
      "add rule inet t in udp dport @ports counter drop",
      "add rule inet t in udp dport 1005 quota over 1000 bytes counter drop",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 11);
      await sendUdp(client, server.address, 1002, 12);
      await server.run("sh", "-c", "{ echo flush table inet t; nft -s list table inet t; } | nft -f -");
      await sendUdp(client, server.address, 1001, 4);
      await sendUdp(client, server.address, 1003, 7);
      await sendUdp(client, server.address, 1004, 8);
      await sendUdp(client, server.address, 1005, 30);
    });
    const findings = firewallFindings(result, server);
    expect(findRule(findings, "1001")).toMatchObject({
      severity: "problem",
      count: 15,
      rule: { packets: 15 },
    });
    expect(findRule(findings, "1003")).toMatchObject({ count: 5, rule: { packets: 5 } });
    expect(findRule(findings, "@ports")).toMatchObject({ count: 20, rule: { packets: 8 } });
    expect(findRule(findings, "@ports")?.evidence[0]).toContain("the rule was made anew during the run");
    expect(findRule(findings, "1005")).toMatchObject({
      severity: "problem",
      rule: { text: "udp dport 1005 quota over 1000 bytes counter drop" },
    });
    expect(findings).toHaveLength(4);
    await pasteAll(findings);
    const left = await server.run("iptables", "-S", "INPUT");
    expect(left.split("\n").filter((line) => line.startsWith("-A"))).toEqual([
      expect.stringContaining("--set"),
      "-A INPUT -p udp -j ACCEPT",
    ]);
    expect(await server.run("nft", "list", "chain", "inet", "t", "in")).not.toContain("drop");
  });

  test("a steady stream that began before the run and goes on after it: one finding, no doubt left over", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "iptables", ["-A INPUT -p udp --dport 1001 -j DROP", "-P INPUT DROP"]);
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t in { type filter hook input priority 10; policy drop; }",
    ]);
    const stream = spawn("ip", [
      "netns",
      "exec",
      client.netns,
      "perl",
      "-e",
      `use Socket; socket(my $s,PF_INET,SOCK_DGRAM,17) or die; for(1..10000){ send($s,"x",0,sockaddr_in(1001,inet_aton($ARGV[0])));
       select(undef,undef,undef,0.002) }`,
      server.address,
    ]);
    await using run = startTrace(["drops", "--netns", server.netns, "--duration", "3s", "--no-profile"]);
    const result = await run.done;
    stream.kill("SIGKILL");
    const findings = firewallFindings(result, server);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ severity: "problem", rule: { number: 1 } });
    const seen = countFlows(result, server, { reason: "NETFILTER_DROP" });
    expect(seen).toBeGreaterThan(500);
    // As many as its counter proves, never more; what the reading of the counters took is in the evidence.
    const [finding] = findings;
    const count = finding?.count ?? 0;
    expect(count).toBe(finding?.rule?.packets);
    expect(seen).toBeGreaterThanOrEqual(count);
    expect(seen - count).toBeLessThanOrEqual(seen * 0.25);
    const number = (value: number) => value.toLocaleString("en-US");
    if (seen > count) {
      expect(finding?.evidence[0]).toContain(
        `moved by ${number(count)}; ${number(seen)} NETFILTER_DROP at INPUT of such packets were seen, ${number(seen - count)} of them while`,
      );
    }
    // The intervals add up to the same total: nothing from before the start is in either.
    const intervals = result.records.filter(({ type }) => type === "interval") as unknown as {
      drops: number;
    }[];
    const { total } = result.summary["drops"] as { total: number };
    expect(intervals.reduce((sum, { drops }) => sum + drops, 0)).toBe(total);
  });

  test("firewall tools that do not work: says so, and guesses nothing", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t in { type filter hook input priority 0; }",
      "add rule inet t in udp dport 1001 counter drop",
    ]);
    await using tools = await breakTools([
      "nft",
      "iptables-nft-save",
      "iptables-save",
      "ip6tables-nft-save",
      "ip6tables-save",
    ]);
    await using run = startTrace(["drops", "--netns", server.netns, "--no-profile"], {
      env: { PATH: `${tools.path}:${process.env["PATH"] ?? ""}` },
    });
    await run.ready();
    await sendUdp(client, server.address, 1001, 11);
    const findings = firewallFindings(await run.stop(), server);
    expect(findings).toMatchObject([
      { id: "netfilter-unreadable", severity: "suspicious", count: 11, fix: [] },
    ]);
    expect(findings[0]?.evidence.join()).toMatch(/rules that could not be read: nft \(out of order\)/);
  });

  test("rules that dropped nothing are no finding", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await setUp(server, "iptables", ["-A INPUT -p udp --dport 1999 -j DROP", "-A INPUT -p udp -j ACCEPT"]);
    await setUp(server, "nft", [
      "add table inet t",
      "add chain inet t in { type filter hook input priority 0; }",
      "add rule inet t in udp dport 1998 drop",
    ]);
    const result = await traceDuring(["drops", "--netns", server.netns], async () => {
      await sendUdp(client, server.address, 1001, 50);
    });
    expect(firewallFindings(result, server)).toEqual([]);
  });
});
