/** What a case runs, in this order: functions of guest.sh, checks of checks.ts. */
export const STEPS = ["doctor", "scripts", "drops", "oom", "retrans", "profile", "kthreads"] as const;
export type Step = (typeof STEPS)[number];

/** One cell of the table in docs/compatibility.md. */
export interface MatrixCase {
  readonly name: string;
  /** The Debian suite that the kernel and bpftrace come from. */
  readonly suite: string;
  /** `chroot`: that suite's bpftrace on this machine's kernel; `machine`: with its own kernel, in QEMU. */
  readonly place: "chroot" | "machine";
}

/** The suites by what they had when the table was made; a suite that is still moving may have newer ones, and the line says which. */
const SUITES = [
  { suite: "bullseye", bpftrace: "0.11", kernel: "5.10" },
  { suite: "bookworm", bpftrace: "0.17", kernel: "6.1" },
  { suite: "trixie", bpftrace: "0.23", kernel: "6.12" },
  { suite: "forky", bpftrace: "0.27", kernel: "7.2" },
] as const;

export const CASES: readonly MatrixCase[] = [
  ...SUITES.map(({ suite, bpftrace }) => ({ name: `bpftrace-${bpftrace}`, suite, place: "chroot" as const })),
  ...SUITES.map(({ suite, kernel }) => ({ name: `kernel-${kernel}`, suite, place: "machine" as const })),
];
