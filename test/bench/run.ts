import { benchConvert } from "./convert.ts";
import { benchConvertLarge } from "./convert-large.ts";
import { benchDrops } from "./drops.ts";
import { benchProfile } from "./profile.ts";

// npm run bench [-- drops|convert|profile|convert-large]: ends with 1 if a goal is missed.
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const wanted = process.argv[2];
/** The last one, which takes minutes and 8 GB of disk, only by its name. */
const benches = {
  drops: benchDrops,
  convert: benchConvert,
  profile: benchProfile,
  "convert-large": benchConvertLarge,
};
for (const [name, bench] of Object.entries(benches)) {
  if (wanted === undefined ? name === "convert-large" : wanted !== name) continue;
  if (!(await bench(print))) process.exitCode = 1;
}
