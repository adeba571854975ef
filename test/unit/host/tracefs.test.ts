import { expect, test } from "vitest";
import { readHostFacts } from "../../../src/host/facts.ts";
import { hasField, hasTracepoint, listTracepoints, readTracepoint } from "../../../src/host/tracefs.ts";
import { makeTree } from "./tree.ts";

const root = new URL("../../../fixtures/hosts/proc-7.2", import.meta.url).pathname;
const place = { root, tracefs: "/sys/kernel/tracing", btf: "/sys/kernel/btf/vmlinux" };

test("reasons of loaded modules join those of the format file", async () => {
  const format = await readTracepoint(place, "skb:kfree_skb");
  expect(format?.symbols["reason"]?.get(3)).toBe("NO_SOCKET");
  expect(format?.symbols["reason"]?.get(0x2_0005)).toBe("OVS_DROP_METER");
  const names = [...(format?.symbols["reason"]?.values() ?? [])];
  expect(names.filter((name) => name.startsWith("__") || name === "OVS_DROP_MAX")).toEqual([]);
  expect(hasField(format, "reason")).toBe(true);
});

test("without BTF only the format file counts", async () => {
  const format = await readTracepoint({ ...place, btf: null }, "skb:kfree_skb");
  expect(format?.symbols["reason"]?.get(0x2_0005)).toBeUndefined();
  expect(format?.symbols["reason"]?.size).toBe(125);
});

test.each(["skb:nothing", "skb", "skb/kfree_skb", "../skb:kfree_skb", "skb:../skb/kfree_skb", ":", "a:b:c"])(
  "%s is no tracepoint",
  async (name) => {
    expect(await hasTracepoint(place, name)).toBe(false);
    expect(await readTracepoint(place, name)).toBeNull();
  },
);

test("without tracefs there are none", async () => {
  const none = { ...place, tracefs: null };
  expect(await hasTracepoint(none, "skb:kfree_skb")).toBe(false);
  expect(await listTracepoints(none)).toEqual([]);
});

test("the list comes from the folders where the kernel's own cannot be read", async () => {
  const names = ["oom:mark_victim", "skb:kfree_skb", "tcp:tcp_receive_reset", "tcp:tcp_retransmit_skb"];
  expect(await listTracepoints(place)).toEqual([...names, "tcp:tcp_send_reset"]);
  const own = makeTree({ "tracing/available_events": "b:y\na:x\nsome rubbish\n" });
  expect(await listTracepoints({ root: own, tracefs: "/tracing", btf: null })).toEqual(["a:x", "b:y"]);
});

test("facts fit as the place", async () => {
  const facts = await readHostFacts({ root, env: {} });
  expect(await hasTracepoint(facts, "skb:kfree_skb")).toBe(true);
});
