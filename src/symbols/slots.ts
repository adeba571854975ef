/** Lets a bounded number of tasks run at once; the others wait in line. */
export class Slots {
  #free: number;
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];

  /** `most`: how many may wait before new ones are turned away. */
  constructor(count: number, most: number) {
    this.#free = count;
    this.#most = most;
  }

  /** Runs `task` when it is its turn. False, and nothing is run, where the line is too long. */
  async run(task: () => Promise<void>): Promise<boolean> {
    if (this.#free === 0) {
      if (this.#waiting.length >= this.#most) return false;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    } else this.#free--;
    try {
      await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
    return true;
  }
}

/** Waits for `task`, but no longer than `seconds`. False when it was not done by then; it goes on all the same. */
export async function waitAtMost(task: Promise<unknown>, seconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, seconds * 1000);
  });
  try {
    return await Promise.race([task.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
