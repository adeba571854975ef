import type { SampleBook, StackEntry, ThreadEntry } from "../../src/profile/samples/book.ts";
import type { Selection } from "../../src/profile/samples/log.ts";

/** Number of thread and stack of an idle CPU in the log. */
export const IDLE = -1;

/** What kind of time a sample was. */
export type Kind = "user" | "kernel" | "kernelThreads";

export function kindOf({ program, isKernelMode }: StackEntry): Kind {
  if (program.kernelThread) return "kernelThreads";
  return isKernelMode ? "kernel" : "user";
}

/** Samples of one process over all programs it ran. */
export interface ProcessCount {
  readonly pid: number;
  /** Its name, the one that most samples have. */
  readonly comm: string;
  readonly label: string;
  readonly exe: string | null;
  readonly samples: number;
  readonly user: number;
  readonly kernel: number;
}

export interface ThreadCount {
  readonly thread: ThreadEntry;
  readonly samples: number;
}

/** The samples of the window, added up. */
export interface Counts {
  readonly user: number;
  readonly kernel: number;
  readonly kernelThreads: number;
  readonly idle: number;
  /** By stack. */
  readonly stacks: ReadonlyMap<number, number>;
  /** Most samples first. */
  readonly threads: readonly ThreadCount[];
  readonly processes: readonly ProcessCount[];
}

export function countSamples(book: SampleBook, selection: Selection): Counts {
  const stacks = new Map<number, number>();
  const threads = new Map<number, number>();
  const programs = new Map<number, { user: number; kernel: number }>();
  const kinds = { user: 0, kernel: 0, kernelThreads: 0 };
  let idle = 0;
  for (const { thread, stack, count } of selection.walk()) {
    if (stack === IDLE) {
      idle += count;
      continue;
    }
    stacks.set(stack, (stacks.get(stack) ?? 0) + count);
    threads.set(thread, (threads.get(thread) ?? 0) + count);
    const entry = book.stacks[stack];
    if (entry === undefined) continue;
    const kind = kindOf(entry);
    kinds[kind] += count;
    const program = programs.get(entry.program.index) ?? { user: 0, kernel: 0 };
    program[kind === "user" ? "user" : "kernel"] += count;
    programs.set(entry.program.index, program);
  }
  return {
    ...kinds,
    idle,
    stacks,
    threads: [...threads]
      .flatMap(([index, samples]) => {
        const thread = book.threads[index];
        return thread === undefined ? [] : [{ thread, samples }];
      })
      .sort((a, b) => b.samples - a.samples || a.thread.index - b.thread.index),
    processes: listProcesses(book, programs),
  };
}

function listProcesses(
  book: SampleBook,
  programs: ReadonlyMap<number, { readonly user: number; readonly kernel: number }>,
): ProcessCount[] {
  const entries = [...programs].flatMap(([index, counts]) => {
    const program = book.programs[index];
    return program === undefined ? [] : [{ program, ...counts }];
  });
  return [...Map.groupBy(entries, ({ program }) => program.pid)]
    .flatMap(([pid, group]): ProcessCount[] => {
      const [main] = group.toSorted((a, b) => b.user + b.kernel - a.user - a.kernel);
      if (main === undefined) return [];
      const user = group.reduce((sum, entry) => sum + entry.user, 0);
      const kernel = group.reduce((sum, entry) => sum + entry.kernel, 0);
      const { program } = main;
      const [comm, label] = [book.commOf(program), book.labelOf(program)];
      return [{ pid, comm, label, exe: program.exe, samples: user + kernel, user, kernel }];
    })
    .sort((a, b) => b.samples - a.samples || a.pid - b.pid);
}
