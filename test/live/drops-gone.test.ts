import { expect, test } from "vitest";
import { firewallFindings } from "./support/firewall.ts";
import {
  addFarHost,
  evidenceOf,
  findingAt,
  findingsAt,
  forward,
  sendTo,
  traceDrops,
} from "./support/network.ts";
import type { TraceRecord } from "./support/trace.ts";
import { createWorld } from "./support/world.ts";

const words = (text: string) => text.split(" ");

test("what is taken away before the run ends is named from what was there at its start", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await using far = await addFarHost(world);
  await forward(server);
  await client.run("tc", ...words(`qdisc add dev ${client.dev} root tbf rate 80kbit burst 2kb limit 3kb`));
  await server.run("iptables", ...words("-A INPUT -p udp --dport 1001 -j DROP"));
  await server.run("ip", ...words("route add blackhole 10.84.7.0/24"));
  await server.run("ip", ...words("rule add to 10.84.8.0/24 prohibit"));
  await far.host.run("iptables", ...words("-P INPUT DROP"));
  await server.run("ip", ...words(`link set ${far.routerDev} mtu 1400`));
  await client.run("ip", ...words(`link add x0 type veth peer name x1 netns ${server.netns}`));
  for (const [host, dev, address] of [
    [client, "x0", "10.85.0.1/24"],
    [server, "x1", "10.85.0.2/24"],
  ] as const) {
    await host.run("ip", ...words(`addr add ${address} dev ${dev}`));
    await host.run("ip", ...words(`link set ${dev} up`));
  }
  await server.run("tc", ...words("qdisc add dev x1 clsact"));
  // Classic BPF, "return 2": TC_ACT_SHOT. Needs no compiler.
  const drop = ["bpf", "da", "bytecode", "1,6 0 0 2,"];
  await server.run("tc", ...words("filter add dev x1 ingress pref 7 protocol ip"), ...drop);
  const run = await traceDrops(async () => {
    await sendTo(client, "10.85.0.2", { port: 1004, count: 15 });
    await server.run("ip", ...words("link del x1"));
    await sendTo(client, server.address, { port: 1001, count: 40, size: 500 });
    await client.run("tc", ...words(`qdisc del dev ${client.dev} root`));
    await sendTo(client, server.address, { port: 1001, count: 20 });
    await sendTo(client, "10.84.7.1");
    await sendTo(client, "10.84.8.1");
    await sendTo(client, far.host.address, { port: 1002 });
    await sendTo(far.host, "10.84.0.1", { port: 1003, size: 1450, count: 10 });
    await server.run("iptables", ...words("-D INPUT 1"));
    await server.run("ip", ...words("route del blackhole 10.84.7.0/24"));
    await server.run("ip", ...words("rule del to 10.84.8.0/24 prohibit"));
    await far.host.run("iptables", ...words("-P INPUT ACCEPT"));
    await server.run("ip", ...words(`link set ${far.routerDev} mtu 1500`));
  });
  const queue = await findingAt(client, run, "qdisc-shaper");
  expect(queue["severity"]).toBe("problem");
  expect(queue["summary"]).toMatch(
    /\(tbf \w+:\) dropped packets, and was taken away during the run: it is offered /,
  );
  expect(evidenceOf(queue)).toContain("tbf: rate 80 kbit/s, burst 2.0 KiB, limit 3.0 KiB");
  const filter = await findingAt(server, run, "tc-filter");
  expect(filter).toMatchObject({
    count: 15,
    summary: "A tc filter that was taken away during the run dropped incoming packets on x1: 15",
    check: [`ip netns exec ${server.netns} ip -br link`],
  });
  expect(evidenceOf(filter)).toContain("x1 itself is gone");
  expect(evidenceOf(filter)).toMatch(/pref 7 protocol ip handle 0x1 bpf direct-action bytecode 1,6 0 0 2/);
  const [rule] = firewallFindings(run, server);
  expect(rule).toMatchObject({
    severity: "problem",
    summary: "An iptables rule that was taken away during the run dropped incoming UDP packets to port 1001",
    rule: {
      table: "filter",
      chain: "INPUT",
      text: "-A INPUT -p udp -m udp --dport 1001 -j DROP",
      packets: null,
    },
  });
  expect(rule?.count).toBeGreaterThanOrEqual(20);
  expect(rule?.evidence.join()).toContain("it had counted 0 when the run began");
  expect(await findingAt(server, run, "route-blackhole")).toMatchObject({ severity: "problem", count: 20 });
  const prohibit = await findingAt(server, run, "route-prohibit");
  expect(prohibit["summary"]).toContain(
    "to 10.84.8.0/24 prohibit) was taken away during the run; it refused",
  );
  expect(firewallFindings(run, far.host)).toMatchObject([
    {
      severity: "problem",
      count: 20,
      summary:
        "The default policy of iptables chain INPUT (drop at first, set to accept during the run) dropped incoming UDP packets to port 1002",
    },
  ]);
  const mtu = await findingAt(far.host, run, "mtu-peer");
  expect(mtu["summary"]).toContain("had different MTUs");
  expect(mtu["count"]).toBe(10);
  for (const finding of [queue, rule, prohibit, mtu])
    expect(finding?.["fix"]).toEqual([expect.stringMatching(/^# nothing to do/)]);
});

test("what came and went is not blamed on what is there; of a namespace that is gone its set-up is known", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await using far = await addFarHost(world);
  const inode = await far.host.inode();
  await far.host.run("iptables", ...words("-A OUTPUT -p udp --dport 1002 -j DROP"));
  await server.run("iptables", ...words("-A INPUT -p udp --dport 7 -j DROP"));
  const run = await traceDrops(async () => {
    await server.run("iptables", ...words("-A INPUT -p udp --dport 1001 -j DROP"));
    await sendTo(client, server.address, { port: 1001 });
    await server.run("iptables", ...words("-D INPUT 2"));
    await client.run("tc", ...words(`qdisc add dev ${client.dev} root tbf rate 8kbit burst 2kb limit 3kb`));
    await sendTo(client, server.address, { count: 30, size: 500 });
    await client.run("tc", ...words(`qdisc del dev ${client.dev} root`));
    await sendTo(far.host, "10.84.0.1", { port: 1002 });
    await far[Symbol.asyncDispose]();
  });
  const [rule] = firewallFindings(run, server);
  expect(rule).toMatchObject({ id: "netfilter-unexplained", severity: "suspicious", count: 20 });
  expect(rule?.evidence.join()).toContain("one that came and went in between");
  const [queue] = await findingsAt(client, run);
  expect(queue).toMatchObject({ id: "qdisc-unknown", severity: "suspicious" });
  expect(queue?.["summary"]).toContain("it came and went during the run");
  const gone = (run.summary["findings"] as TraceRecord[]).filter(
    (finding) => finding["netns"]?.inode === inode,
  );
  expect(gone).toMatchObject([
    {
      id: "netfilter-rule",
      summary:
        "An iptables rule of a namespace that is gone by now dropped outgoing UDP packets to port 1002",
      count: 20,
    },
  ]);
  const lines = gone.flatMap((finding) => [...finding["check"], ...finding["fix"]]);
  expect(lines.every((line) => line.startsWith("# "))).toBe(true);
});
