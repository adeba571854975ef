/** A bpftrace release; a missing patch level (`0.24-rc0`, `0.27-dev`) counts as 0. */
export interface BpftraceVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

const RELEASE = /(?:^|[^0-9.])v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?![0-9])/;

/**
 * Reads the version out of what `bpftrace --version` prints (`bpftrace v0.17.0`), or out of a bare `0.23.2`.
 * Null when there is none: every reader then decodes tolerantly.
 */
export function parseBpftraceVersion(text: string): BpftraceVersion | null {
  const found = RELEASE.exec(text);
  if (found === null) return null;
  return { major: Number(found[1]), minor: Number(found[2]), patch: Number(found[3] ?? 0) };
}

/** True when `version` is known and not older than `major.minor.patch`. */
export function atLeast(version: BpftraceVersion | null, major: number, minor: number, patch = 0): boolean {
  if (version === null) return false;
  if (version.major !== major) return version.major > major;
  if (version.minor !== minor) return version.minor > minor;
  return version.patch >= patch;
}

/** `0.17.0`. */
export function formatBpftraceVersion(version: BpftraceVersion): string {
  return `${version.major}.${version.minor}.${version.patch}`;
}
