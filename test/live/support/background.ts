import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Host } from "./world.ts";

export interface Background extends AsyncDisposable {
  readonly child: ChildProcess;
}

/**
 * Starts a program inside a host of the test's network and waits for its first line of output, by which it says that it
 * is ready. Disposing ends it. Rejects when it ends before that, with what it said on stderr.
 */
export async function startIn(host: Host, command: string, ...args: string[]): Promise<Background> {
  const child = spawn("ip", ["netns", "exec", host.netns, command, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${command} ended before it was ready: ${stderr}`)));
    createInterface({ input: child.stdout }).once("line", () => resolve());
  });
  return {
    child,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}
