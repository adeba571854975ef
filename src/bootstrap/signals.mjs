// What npm does to signals, undone. On Ctrl-C the terminal signals npm and trace, and npm passes its own on:
// trace would see two, and take the second for impatience. A hang-up of npm alone is not passed on at all.

/** @type {readonly NodeJS.Signals[]} */
export const PASSED_ON = ["SIGINT", "SIGTERM", "SIGHUP"];

/** How long after a signal the same one counts as its echo. npm's comes within milliseconds, more under load. */
const ECHO_MS = 1000;

/** How often a program started by npm looks whether npm is still there. */
const PARENT_CHECK_MS = 250;

/** @returns {(signal: string) => boolean} true for a signal that is the echo of one already seen */
export function echoFilter() {
  const seen = new Map();
  return (signal) => {
    const now = Date.now();
    const last = seen.get(signal);
    if (last !== undefined && now - last < ECHO_MS) return true;
    seen.set(signal, now);
    return false;
  };
}

/**
 * From here on this process hears a signal once, not once more per program above it. Call it before anything
 * listens: Node binds `process.emit` to a signal when its first listener comes.
 */
export function hearSignalsOnce() {
  const isEcho = echoFilter();
  const signals = new Set(PASSED_ON);
  // oxlint-disable-next-line typescript/unbound-method -- the proxy hands `this` through
  process.emit = new Proxy(process.emit, {
    apply(emit, self, args) {
      return signals.has(args[0]) && isEcho(args[0]) ? true : Reflect.apply(emit, self, args);
    },
  });
}

/** Ends this process in order (SIGHUP) when the program that started it is gone. Does not keep it running. */
export function endWithParent() {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGHUP");
  }, PARENT_CHECK_MS);
  timer.unref();
}

/**
 * Dies of a signal, as a child did, so that whoever waits sees the same end.
 * @param {NodeJS.Signals} signal
 */
export function dieOf(signal) {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
