import type { Rule } from "../rule.ts";
import { FIREWALL_RULES } from "./firewall/index.ts";
import { LEFTOVER_RULES } from "./leftover/index.ts";
import { NETWORK_RULES } from "./network/index.ts";
import { TRANSPORT_RULES } from "./transport/index.ts";

/** In the order they are asked: specific causes first, they claim what they explain; the last ones name what is left. */
export const RULES: readonly Rule[] = [
  ...FIREWALL_RULES,
  ...TRANSPORT_RULES,
  ...NETWORK_RULES,
  ...LEFTOVER_RULES,
];
