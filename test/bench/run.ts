import { benchConvert } from "./convert.ts";
import { benchDrops } from "./drops.ts";

// npm run bench [-- drops|convert]: ends with 1 if a goal is missed.
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const wanted = process.argv[2];
const benches = { drops: benchDrops, convert: benchConvert };
for (const [name, bench] of Object.entries(benches)) {
  if (wanted !== undefined && wanted !== name) continue;
  if (!(await bench(print))) process.exitCode = 1;
}
