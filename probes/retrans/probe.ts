import { resetReasons } from "../../src/catalogue/load.ts";
import { defineProbe } from "../../src/probe/define.ts";
import { prepareRetrans } from "./program.ts";
import { runRetrans } from "./run.ts";

export default defineProbe({
  name: "retrans",
  summary: "which TCP flows retransmit or are reset, and why",
  description: `Counts every TCP segment that is sent again, by flow and by what made the kernel send it (timeout, acknowledgements, loss probe,
handshake), and every reset sent or received. Segments add up to the kernel's own TcpRetransSegs. Packets of the same connections that
this host dropped meanwhile are counted beside: so the report can tell loss made here from loss on the way.
--pid and --comm choose by the owner of the socket, which the kernel cannot look up: trace chooses after counting.`,
  filters: ["pid", "comm", "netns", "host", "port"],
  hasEvents: true,
  attach: [
    {
      points: [
        "tracepoint:tcp:tcp_retransmit_skb",
        "tracepoint:tcp:tcp_destroy_sock",
        "tracepoint:tcp:tcp_retransmit_synack",
        "tracepoint:tcp:tcp_send_reset",
        "tracepoint:tcp:tcp_receive_reset",
        "tracepoint:skb:kfree_skb",
      ],
    },
    {
      points: [
        "tracepoint:tcp:tcp_retransmit_skb",
        "tracepoint:tcp:tcp_destroy_sock",
        "tracepoint:tcp:tcp_send_reset",
        "tracepoint:tcp:tcp_receive_reset",
        "tracepoint:skb:kfree_skb",
      ],
      lacks: "repeated SYN-ACKs are only in the counters: this kernel has no tracepoint for them",
    },
  ],
  mapKeys: 16_384,
  evidence: ["network"],
  topics: () =>
    Object.entries(resetReasons()).map(([name, { meaning, check }]) => ({
      name,
      kind: "reset reason",
      text: meaning,
      check,
      fix: [],
    })),
  prepare: prepareRetrans,
  run: runRetrans,
});
