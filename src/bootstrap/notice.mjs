// One line on stderr, so that stdout stays exactly what trace prints.

/**
 * Tells the user what the set-up does or could not do.
 * @param {string} text one line, without the "trace: " in front
 */
export function say(text) {
  process.stderr.write(`trace: ${text}\n`);
}

// oxlint-disable-next-line eslint/no-control-regex -- they are what this takes out
const UNPRINTABLE = /\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\u00a0-\uffff]/g;

/**
 * A program's output, fit for a terminal: no control characters, no empty lines.
 * @param {string} output
 * @returns {string[]}
 */
export function printableLines(output) {
  return output
    .split(/[\r\n]+/)
    .map((line) => line.replace(UNPRINTABLE, "").trim())
    .filter((line) => line !== "");
}
