import { execFile } from "node:child_process";

/** Runs a command and gives its stdout; rejects with stderr when it fails. Never a shell. */
export function sh(command: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { maxBuffer: 64 << 20, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(" ")}: ${stderr || error.message}`));
    });
  });
}
