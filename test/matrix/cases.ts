/** What a case runs, in this order: functions of guest.sh, checks of checks.ts. */
export const STEPS = ["doctor", "scripts", "drops", "oom", "retrans", "profile", "kthreads"] as const;
export type Step = (typeof STEPS)[number];

/** One cell of the table in docs/compatibility.md. */
export interface MatrixCase {
  readonly name: string;
  /** The Debian suite that bpftrace comes from, with all that it is made of. */
  readonly suite: string;
  /** The suite whose kernel is booted in QEMU; null: this machine's kernel, in a chroot. */
  readonly kernelSuite: string | null;
}

/** The suites by what they had when the table was made; a suite that is still moving may have newer ones, and the line says which. */
const SUITES = [
  { suite: "bullseye", bpftrace: "0.11", kernel: "5.10" },
  { suite: "bookworm", bpftrace: "0.17", kernel: "6.1" },
  { suite: "trixie", bpftrace: "0.23", kernel: "6.12" },
  { suite: "forky", bpftrace: "0.27", kernel: "7.2" },
] as const;

/** What runs when no case is named. */
export const CASES: readonly MatrixCase[] = [
  ...SUITES.map(({ suite, bpftrace }) => ({ name: `bpftrace-${bpftrace}`, suite, kernelSuite: null })),
  ...SUITES.map(({ suite, kernel }) => ({ name: `kernel-${kernel}`, suite, kernelSuite: suite })),
];

/** The case of a name: one of CASES, or `kernel-5.10+0.23`, a kernel with another suite's bpftrace. Undefined when there is none. */
export function findCase(name: string): MatrixCase | undefined {
  const [, kernel, bpftrace] = /^kernel-([\d.]+)\+([\d.]+)$/.exec(name) ?? [];
  const kernelSuite = SUITES.find((suite) => suite.kernel === kernel)?.suite;
  const suite = SUITES.find((other) => other.bpftrace === bpftrace)?.suite;
  if (kernelSuite !== undefined && suite !== undefined) return { name, suite, kernelSuite };
  return CASES.find((item) => item.name === name);
}
