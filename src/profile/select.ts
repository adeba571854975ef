import { EXIT, TraceError } from "../error.ts";
import type { ProfileData, ProfileStore } from "./store/store.ts";

/**
 * The profile of a store that `wanted` names: its name, or its number from 1. Without `wanted`, the one a viewer would
 * show first. Throws TraceError if there is none.
 */
export function selectProfile(store: ProfileStore, wanted: string | null): ProfileData {
  const byName = store.profiles.find(({ name }) => name === wanted);
  const index = wanted === null ? store.active : Number(wanted) - 1;
  const found = byName ?? store.profiles[index] ?? (wanted === null ? store.profiles[0] : undefined);
  if (found !== undefined) return found;
  throw new TraceError(EXIT.usage, `there is no profile ${JSON.stringify(wanted)}`, {
    why: `${store.profiles.length} in the input: ${listNames(store)}`,
    hint: "--select NAME, or --select 1",
  });
}

/** The first profiles' names, for a message. */
function listNames(store: ProfileStore): string {
  const names = store.profiles.slice(0, 5).map(({ name }, index) => `${index + 1} ${JSON.stringify(name)}`);
  const more = store.profiles.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}
