import type { Rule } from "../rule.ts";

/** In the order they are asked: specific causes first, they claim what they explain; the last ones name what is left. */
export const RULES: readonly Rule[] = [];
