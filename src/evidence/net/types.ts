/**
 * The facts about a network namespace that rules in src/diagnose/ read. All are plain JSON values (no Map, no undefined):
 * they survive a recording. Names and texts in them come from the traced system: hostile data.
 */
export type * from "./types/common.ts";
export type * from "./types/counters.ts";
export type * from "./types/delta.ts";
export type * from "./types/firewall.ts";
export type * from "./types/link.ts";
export type * from "./types/routing.ts";
export type * from "./types/snapshot.ts";
export type * from "./types/socket.ts";
export type * from "./types/traffic.ts";
