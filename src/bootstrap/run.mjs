// Runs trace in this process, as the child of npm. Its Node runs TypeScript; start.mjs has seen to that.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { endWithParent, hearSignalsOnce } from "./signals.mjs";
import { ROOT } from "./look.mjs";

hearSignalsOnce();
if (process.env.npm_lifecycle_event === "start") {
  endWithParent();
  enterFolderOfUser();
}

const cli = join(ROOT, "src", "cli.ts");
process.argv[1] = cli;
void import(pathToFileURL(cli).href);

/** npm runs its scripts in the package's folder. File names on the command line are relative to the user's. */
function enterFolderOfUser() {
  try {
    if (process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
  } catch {
    // That folder is gone, or not ours to enter: stay.
  }
}
