import type { Rule } from "../../rule.ts";
import { netfilterRule } from "./netfilter.ts";
import { queueRule } from "./queue.ts";

/** What netfilter drops: rules, policies, connection tracking, queues to programs. */
export const FIREWALL_RULES: readonly Rule[] = [queueRule, netfilterRule];
