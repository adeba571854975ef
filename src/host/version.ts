/** A version as numbers, so that it can be compared. `patch` is null where the text has none ("6.12-rc3"). */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number | null;
}

/** Reads the first `N.N[.N]` in a text such as `6.18.44-fc-v782` or `bpftrace v0.17.0`; null when there is none. */
export function parseVersion(text: string): Version | null {
  const match = /(?<![\d.])(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?/.exec(text);
  if (match === null) return null;
  const patch = match[3];
  return {
    major: Number(match[1]),
    minor: Number(match[2]),
    patch: patch === undefined ? null : Number(patch),
  };
}

/** Whether `version` is at least `major.minor`. An unknown version is not. */
export function isAtLeast(version: Version | null, major: number, minor: number): boolean {
  if (version === null) return false;
  return version.major > major || (version.major === major && version.minor >= minor);
}
