/** Time of all CPUs together since boot, in ticks (USER_HZ, 100 a second on everything this runs on). See proc_stat(5). */
export interface CpuTimes {
  readonly user: number;
  readonly system: number;
  readonly idle: number;
  /** Interrupts, hard and soft. */
  readonly interrupts: number;
  /** What the hypervisor gave to others. */
  readonly steal: number;
}

/** Reads the first line of /proc/stat, or null. */
export function parseCpuTimes(text: string): CpuTimes | null {
  const fields = /^cpu +([\d ]+)/.exec(text)?.[1]?.trim().split(/ +/).map(Number);
  if (fields === undefined || fields.length < 8) return null;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields;
  return { user: user + nice, system, idle: idle + iowait, interrupts: irq + softirq, steal };
}

/** Parts of all CPU time between two readings, 0–1 each; null where nothing went by. */
export function shareCpuTimes(before: CpuTimes, after: CpuTimes): CpuTimes | null {
  const delta = {
    user: after.user - before.user,
    system: after.system - before.system,
    idle: after.idle - before.idle,
    interrupts: after.interrupts - before.interrupts,
    steal: after.steal - before.steal,
  };
  const total = Object.values(delta).reduce((sum, value) => sum + value, 0);
  if (!(total > 0) || Object.values(delta).some((value) => value < 0)) return null;
  return {
    user: delta.user / total,
    system: delta.system / total,
    idle: delta.idle / total,
    interrupts: delta.interrupts / total,
    steal: delta.steal / total,
  };
}
