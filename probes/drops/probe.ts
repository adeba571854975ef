import { NETWORK_LOG } from "../../src/evidence/kernel-log/network.ts";
import { defineProbe } from "../../src/probe/define.ts";
import { listTopics } from "./catalogue.ts";
import { prepareDrops } from "./program.ts";
import { runDrops } from "./run.ts";

export default defineProbe({
  name: "drops",
  summary: "why are packets dropped on this host, by whom, and what fixes it",
  description: `Counts every packet the kernel drops (tracepoint skb:kfree_skb), by reason, call site, netfilter hook, flow, device and
network namespace, and ends with a report. Counts are exact at any rate: they are made in the kernel.`,
  filters: ["netns", "dev", "host", "port", "proto", "reason"],
  hasEvents: true,
  attach: [{ points: ["tracepoint:skb:kfree_skb"] }],
  mapKeys: 16_384,
  evidence: ["network"],
  follows: [{ fact: "kernel-log", past: NETWORK_LOG }],
  topics: listTopics,
  prepare: prepareDrops,
  run: runDrops,
});
