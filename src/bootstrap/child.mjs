import { spawn } from "node:child_process";
import { PASSED_ON, echoFilter } from "./signals.mjs";

/**
 * @typedef {{ code: number | null, signal: NodeJS.Signals | null, caught: NodeJS.Signals | null, output: string,
 *   error: Error | null }} Ending caught: the first signal that this process received meanwhile
 */

/**
 * Runs a program to its end. Signals that reach this process go to the child; this process stays until it ends.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import("node:child_process").SpawnOptions} options
 * @param {NodeJS.Signals | null} [instead] the signal to pass on whatever came, null for the one that came
 * @returns {Promise<Ending>}
 */
export function runChild(command, args, options, instead = null) {
  return new Promise((resolve) => {
    let output = "";
    /** @type {NodeJS.Signals | null} */
    let caught = null;
    const isEcho = echoFilter();
    const child = spawn(command, args, options);
    const listeners = PASSED_ON.map((signal) => {
      const passOn = () => {
        if (caught === null) caught = signal;
        if (!isEcho(signal)) child.kill(instead === null ? signal : instead);
      };
      process.on(signal, passOn);
      return () => process.removeListener(signal, passOn);
    });
    /** @param {Pick<Ending, "code" | "signal" | "error">} end */
    const finish = (end) => {
      for (const remove of listeners) remove();
      resolve({ ...end, caught, output });
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) {
        stream.setEncoding("utf8");
        stream.on("data", (text) => (output = (output + text).slice(-65536)));
      }
    }
    child.on("error", (error) => finish({ code: null, signal: null, error }));
    child.on("close", (code, signal) => finish({ code, signal, error: null }));
  });
}
