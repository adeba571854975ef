import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BOOTSTRAP = join(import.meta.dirname, "..", "..", "..", "src", "bootstrap");

/** The program that stands in for trace: says what it was given, or waits for a signal and reports then. */
const CLI = `
import { appendFileSync } from "node:fs";
const args = process.argv.slice(2);
if (args[0] === "exit") process.exitCode = Number(args[1]);
else if (args[0] === "die") process.kill(process.pid, args[1]);
else if (args[0] === "echo") process.stdin.pipe(process.stdout);
else if (args[0] === "where") process.stdout.write(process.cwd());
else if (args[0] === "wait") {
  const heard = [];
  const hold = setInterval(() => {}, 1000);
  const hear = (signal) => {
    heard.push(signal);
    appendFileSync(args[1], signal + "\\n");
    if (heard.length === 1) setTimeout(() => { clearInterval(hold); process.exitCode = 5; }, 100);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, hear);
  process.stdout.write("ready");
} else process.stdout.write(JSON.stringify(args));
`;

/**
 * Stands in for npm: installs the one package of the lockfile, and says so on both streams. FAKE_NPM=fail fails, stop
 * ends before the list is written, and a file name is waited for.
 */
const NPM = `
const fs = require("fs");
fs.appendFileSync("npm.log", process.argv.slice(2).join(" ") + "\\n");
console.log("npm noise on stdout");
console.error("npm noise on stderr");
const mode = process.env.FAKE_NPM || "";
if (mode === "fail") {
  console.error("npm error code EFAKE\\nnpm error\\nnpm error the \\x1b[31mcause");
  process.exit(1);
}
const packages = JSON.parse(fs.readFileSync("package-lock.json", "utf8")).packages;
fs.rmSync("node_modules", { recursive: true, force: true });
fs.mkdirSync("node_modules/a", { recursive: true });
if (mode !== "stop") finish();
function finish() {
  if (mode !== "" && !fs.existsSync(mode)) return setTimeout(finish, 20);
  delete packages[""];
  fs.writeFileSync("node_modules/.package-lock.json", JSON.stringify({ packages }));
}
`;

/** Stands in for apt-get and its like: logs its words; \`install\` makes the programs. FAKE_APT says what goes wrong, the first time or each. */
const APT = `#!${process.execPath}
const fs = require("fs");
const words = process.argv.slice(2);
const root = process.env.FAKE_ROOT;
const first = !fs.existsSync(root + "/apt.log");
process.on("SIGINT", () => {
  fs.appendFileSync(root + "/apt.log", "SIGINT\\n");
  process.exit(130);
});
fs.appendFileSync(root + "/apt.log", words.join(" ") + "\\n");
console.log("apt noise");
const mode = process.env.FAKE_APT;
if (mode === "slow") setInterval(() => {}, 1000);
else if (mode === "broken" || (first && mode)) {
  console.error(mode === "locked" ? "E: Could not get lock /var/lib/dpkg/lock-frontend." : "E: \\x1b[31mno such package");
  process.exit(100);
} else if (words.some((word) => ["install", "-S", "add"].includes(word))) fs.writeFileSync(root + "/bin/bpftrace", "", { mode: 0o755 });
`;

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  /** Resolves when the output so far has this text; rejects when the program ends without it. */
  says(text: string): Promise<void>;
  ended: Promise<Ended>;
}

/** A checkout in a temporary folder, with stand-ins for npm, apt-get and trace; nothing else is on its PATH. */
export class Checkout {
  readonly root = mkdtempSync(join(tmpdir(), "trace-bootstrap-"));

  #packages: Record<string, { version: string }> = {};

  /** `manager`: the one package manager of the machine. */
  constructor(manager = "apt-get") {
    cpSync(BOOTSTRAP, join(this.root, "src", "bootstrap"), { recursive: true });
    this.write("package.json", JSON.stringify({ type: "module" }));
    this.write("src/cli.ts", CLI);
    this.write("npm/package.json", "{}");
    this.write("npm/npm-cli.js", NPM);
    mkdirSync(join(this.root, "probes", "drops"), { recursive: true });
    this.write("bin/package.json", "{}");
    writeFileSync(join(this.root, "bin", manager), APT, { mode: 0o755 });
    this.lock("1.0.0");
  }

  /** Writes a lockfile that asks for this version of its one package. */
  lock(version: string): void {
    this.#packages = { "node_modules/a": { version } };
    this.write("package-lock.json", JSON.stringify({ packages: { "": {}, ...this.#packages } }));
  }

  /** Puts the packages in place, as a finished \`npm ci\` leaves them. */
  install(): this {
    mkdirSync(join(this.root, "node_modules", "a"), { recursive: true });
    this.write("node_modules/.package-lock.json", JSON.stringify({ packages: this.#packages }));
    return this;
  }

  write(path: string, text: string): void {
    mkdirSync(join(this.root, path, ".."), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** "" for a file that is not there. */
  read(path: string): string {
    const file = join(this.root, path);
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Starts \`npm start -- args\` without npm: the same Node, the environment that npm gives. */
  begin(
    args: readonly string[],
    env: Record<string, string> = {},
    nodeFlags: readonly string[] = [],
  ): Running {
    const script = join(this.root, "src", "bootstrap", "start.mjs");
    const child = spawn(process.execPath, [...nodeFlags, script, ...args], {
      cwd: this.root,
      env: {
        PATH: join(this.root, "bin"),
        FAKE_ROOT: this.root,
        npm_execpath: join(this.root, "npm", "npm-cli.js"),
        npm_lifecycle_event: "start",
        ...env,
      },
    });
    return watch(child);
  }

  run(
    args: readonly string[],
    env: Record<string, string> = {},
    nodeFlags: readonly string[] = [],
  ): Promise<Ended> {
    const running = this.begin(args, env, nodeFlags);
    running.child.stdin?.end();
    return running.ended;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Collects what a program says, and how it ends. */
export function watch(child: ChildProcess): Running {
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
      child.emit("said");
    });
  }
  const ended = once(child, "close").then(([code, signal]: (number | NodeJS.Signals | null)[]): Ended => ({
    code: typeof code === "number" ? code : null,
    signal: typeof signal === "string" ? signal : null,
    ...text,
  }));
  const says = async (wanted: string): Promise<void> => {
    let over = false;
    void ended.then(() => child.emit("said", (over = true)));
    while (!`${text.stdout}${text.stderr}`.includes(wanted)) {
      if (over) throw new Error(`ended without ${JSON.stringify(wanted)}: ${text.stdout}${text.stderr}`);
      await once(child, "said");
    }
  };
  return { child, says, ended };
}
