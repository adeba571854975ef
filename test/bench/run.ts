import { benchConvert } from "./convert.ts";
import { benchDrops } from "./drops.ts";
import { benchProfile } from "./profile.ts";

// npm run bench [-- drops|convert|profile]: ends with 1 if a goal is missed.
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const wanted = process.argv[2];
const benches = { drops: benchDrops, convert: benchConvert, profile: benchProfile };
for (const [name, bench] of Object.entries(benches)) {
  if (wanted !== undefined && wanted !== name) continue;
  if (!(await bench(print))) process.exitCode = 1;
}
