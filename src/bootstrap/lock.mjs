import { linkSync, mkdirSync, readFileSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./look.mjs";
import { say } from "./notice.mjs";

/** One lock for everything that a checkout installs. It is there only while something is being installed. */
const SETUP_LOCK = join(ROOT, ".trace-setup.lock");

const LOOK_AGAIN_MS = 200;
const STEAL_MS = 10000;

/**
 * Runs `work` while no other set-up of this checkout is at work. A lock left by a process that is gone is taken
 * over. Where the folder does not allow a lock at all, `work` runs without one.
 * @param {() => Promise<void>} work
 */
export async function withSetupLock(work) {
  const path = SETUP_LOCK;
  let told = false;
  let state = take(path);
  while (state === "held") {
    const holder = readHolder(path);
    if (holder && !told) {
      told = true;
      say(`waiting for the set-up of another run to finish (process ${holder.pid})`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    state = take(path);
  }
  try {
    await work();
  } finally {
    if (state === "taken") unlinkIfThere(path);
  }
}

/**
 * @param {string} path
 * @returns {"taken" | "held" | "impossible"}
 */
function take(path) {
  const own = `${path}.${process.pid}`;
  try {
    writeFileSync(own, `${process.pid} ${startOf(process.pid)}\n`);
    // A link appears with its content, or not at all: nobody ever reads a half-written lock.
    linkSync(own, path);
    return "taken";
  } catch (error) {
    if (codeOf(error) !== "EEXIST") return "impossible";
    removeIfStale(path);
    return "held";
  } finally {
    unlinkIfThere(own);
  }
}

/**
 * Removes the lock of a process that is gone. Under a second lock: between reading a stale lock and removing it,
 * another process could have replaced it by its own.
 * @param {string} path
 */
function removeIfStale(path) {
  if (!isStale(path)) return;
  const steal = `${path}.steal`;
  try {
    mkdirSync(steal);
  } catch {
    if (ageOf(steal) > STEAL_MS) removeFolder(steal);
    return;
  }
  if (isStale(path)) unlinkIfThere(path);
  removeFolder(steal);
}

/** @param {string} path */
function isStale(path) {
  const holder = readHolder(path);
  if (!holder) return ageOf(path) > STEAL_MS;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return codeOf(error) === "ESRCH";
  }
  return startOf(holder.pid) !== holder.start;
}

/** @param {string} path */
function readHolder(path) {
  try {
    const [pid = "", start = ""] = readFileSync(path, "utf8").trim().split(" ");
    return /^\d+$/.test(pid) ? { pid: Number(pid), start } : null;
  } catch {
    return null;
  }
}

/**
 * When a process started, in clock ticks since boot (proc(5), field 22), so that a pid used again is not taken for
 * the one that has the lock. "" where there is no /proc.
 * @param {number} pid
 */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] || "";
  } catch {
    return "";
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** @param {string} path */
function ageOf(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

/** @param {string} path */
function unlinkIfThere(path) {
  try {
    unlinkSync(path);
  } catch {
    // Somebody was faster; what counts is that it is gone.
  }
}

/** @param {string} path */
function removeFolder(path) {
  try {
    rmdirSync(path);
  } catch {
    // As above.
  }
}
