/** Ticks a second in which /proc/PID/stat counts (USER_HZ: 100 on everything that runs Node). */
export const TICKS_PER_SECOND = 100;

/** PF_FORKNOEXEC of include/linux/sched.h: forked, and no other program run yet. What such a process holds may be its parent's. */
export const FORKED_WITHOUT_EXEC = 0x40;
