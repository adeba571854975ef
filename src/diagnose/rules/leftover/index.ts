import type { Rule } from "../../rule.ts";
import { connections } from "./connections.ts";
import { housekeeping } from "./housekeeping.ts";
import { otherDrops } from "./other-drops.ts";
import { silentCounters } from "./silent-counters.ts";
import { silentDevices } from "./silent-devices.ts";

/** What all other rules left: runs last. */
export const LEFTOVER_RULES: readonly Rule[] = [
  housekeeping,
  otherDrops,
  silentCounters,
  silentDevices,
  connections,
];
