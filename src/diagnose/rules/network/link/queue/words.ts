import type { Qdisc } from "../../../../../evidence/net/types.ts";
import type { QueueVerdict } from "./verdict.ts";

/** A burst can cost any queue a few packets. */
export const MANY = 10;
/** Not queues: filters hang on them. Their drops are those filters'. */
export const EDGES: ReadonlySet<string> = new Set(["clsact", "ingress"]);

export function tellQueue({ dev, kind, handle, parent }: Qdisc): string {
  const name = handle === "0:" ? kind : `${kind} ${handle}`;
  return `The queue on ${dev} (${name}${parent === "root" ? "" : `, parent ${parent}`})`;
}

/** Its settings in words, else as tc prints them. */
export function tellParameters({ kind, options }: Qdisc, { parameters }: QueueVerdict): string | null {
  const words =
    parameters.length > 0
      ? parameters
      : Object.entries(options)
          .slice(0, 6)
          .map(([name, value]) => `${name} ${value}`);
  return words.length === 0 ? null : `${kind}: ${words.join(", ")}`;
}
