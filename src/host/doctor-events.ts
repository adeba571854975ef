import type { CheckRow } from "./check.ts";
import type { DoctorInput } from "./doctor-input.ts";
import type { HostFacts } from "./facts.ts";
import { findField } from "./format.ts";

/** The event behind `trace drops`, and whether it says why. */
export function checkDropEvents(facts: HostFacts, input: DoctorInput): CheckRow {
  const row = { id: "drop-events", what: "skb:kfree_skb", required: true };
  const format = input.tracepoints["skb:kfree_skb"] ?? null;
  if (format === null) return { ...row, status: "missing", detail: explainAbsence(facts) };
  if (findField(format, "reason") === null) {
    return {
      ...row,
      status: "limited",
      detail: "no reason field (kernel before 5.17): drops by call site only",
    };
  }
  return { ...row, status: "ok", detail: `with ${format.symbols["reason"]?.size ?? 0} named reasons` };
}

/** Why something that lives in tracefs is not there. */
export function explainAbsence(facts: HostFacts): string {
  return facts.tracefs === null ? "unknown without tracefs" : "the kernel has no such tracepoint";
}

/** The events behind `trace retrans`. */
export function checkTcpEvents(facts: HostFacts, input: DoctorInput): CheckRow {
  const row = { id: "tcp-events", what: "tcp:*" };
  const names = ["tcp:tcp_retransmit_skb", "tcp:tcp_send_reset", "tcp:tcp_receive_reset"];
  const absent = names.filter((name) => (input.tracepoints[name] ?? null) === null);
  if (absent.length === 0) {
    const hasReason = findField(input.tracepoints["tcp:tcp_send_reset"] ?? null, "reason") !== null;
    const detail = `retransmissions and resets${hasReason ? "" : ", resets without their reason"}`;
    return { ...row, status: "ok", detail };
  }
  if (facts.tracefs === null) return { ...row, status: "missing", detail: explainAbsence(facts) };
  const status = absent.includes("tcp:tcp_retransmit_skb") ? "missing" : "limited";
  return { ...row, status, detail: `trace retrans lacks ${absent.join(", ")}` };
}

/** The event behind `trace oom` where there are no kprobes, and how much it tells. */
export function checkOomEvents(facts: HostFacts, input: DoctorInput): CheckRow {
  const row = { id: "oom-events", what: "oom:mark_victim" };
  const format = input.tracepoints["oom:mark_victim"] ?? null;
  if (format === null) return { ...row, status: "missing", detail: explainAbsence(facts) };
  if (findField(format, "comm") === null) {
    return {
      ...row,
      status: "limited",
      detail: "only the victim's pid: its memory comes from the kernel log",
    };
  }
  const { parsed = null } = facts.bpftrace ?? {};
  if (parsed?.major === 0 && parsed.minor === 23) {
    return {
      ...row,
      status: "limited",
      detail: "bpftrace 0.23 reads the victim's name as empty: taken from the log",
    };
  }
  const fields = format.fields.filter((field) => !field.isCommon).map((field) => field.name);
  return { ...row, status: "ok", detail: `with ${fields.join(", ")}` };
}
