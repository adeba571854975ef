// The types of decide.mjs, for the tests: that file has to stay plain JavaScript, for an old Node.

export interface Package {
  version?: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
  devOptional?: boolean;
  peer?: boolean;
  link?: boolean;
  os?: string | string[];
  cpu?: string | string[];
}

export function needsKernel(args: readonly string[], probes: readonly string[]): boolean;
export function namesBpftrace(args: readonly string[], env: { TRACE_BPFTRACE?: string | undefined }): boolean;
export function mayInstall(env: { TRACE_NO_INSTALL?: string | undefined }): boolean;
export function runsSources(version: string, typescript: unknown): boolean;
export function whyStale(
  wanted: Record<string, Package>,
  installed: Record<string, Package> | null,
  host: { dev: boolean; os: string; cpu: string },
): string | null;
