// What has to be done, decided from plain values: no effect in this file. It runs on Node 12.22 like all of
// this folder (no `??`, no `?.`, no top-level await): the old Node of a distribution has to get through it once.

/** Commands that never start bpftrace. Everything else that has a name in probes/ does, and so does `run`. */
const WITHOUT_KERNEL = ["convert", "diff", "doctor", "explain", "help", "list", "replay", "script", "view"];

/** Options that end in text, or take their input from a file, whatever the command is. */
const WITHOUT_KERNEL_OPTION = /^(?:-h|--help|-V|--version|--replay(?:=.*)?|--log(?:=.*)?)$/s;

/**
 * Whether this command line starts bpftrace. An unknown command does not: trace will say that it is unknown.
 * @param {readonly string[]} args what follows `trace`
 * @param {readonly string[]} probes the names of the probe folders
 */
export function needsKernel(args, probes) {
  if (args.some((arg) => WITHOUT_KERNEL_OPTION.test(arg))) return false;
  let afterOption = false;
  for (const arg of args) {
    if (arg.startsWith("-")) {
      afterOption = !arg.includes("=");
      continue;
    }
    if (arg === "run" || probes.includes(arg)) return true;
    // A word behind an option may be its value: `trace --color never drops`.
    if (WITHOUT_KERNEL.includes(arg) || !afterOption) return false;
    afterOption = false;
  }
  return false;
}

/**
 * Whether the user says which bpftrace to use, so that there is nothing to install.
 * @param {readonly string[]} args
 * @param {{ TRACE_BPFTRACE?: string | undefined }} env
 */
export function namesBpftrace(args, env) {
  return Boolean(env.TRACE_BPFTRACE) || args.some((arg) => /^--bpftrace(?:=|$)/.test(arg));
}

/**
 * Whether system packages may be installed here.
 * @param {{ TRACE_NO_INSTALL?: string | undefined }} env
 */
export function mayInstall(env) {
  return ["", "0", undefined].includes(env.TRACE_NO_INSTALL);
}

/**
 * Whether a Node of this version runs the TypeScript sources as they are: it strips types, and knows `using` (24).
 * @param {string} version such as "24.21.0"
 * @param {unknown} typescript `process.features.typescript` of that Node
 */
export function runsSources(version, typescript) {
  return Number(version.split(".")[0]) >= 24 && Boolean(typescript);
}

/**
 * Why what is installed in node_modules is not what package-lock.json asks for; null when it is. Extra packages do no
 * harm, and an optional package may be missing, unless another platform's is there: a folder from another machine.
 * (The latter alone proves nothing: npm 7.5 installs every platform's.)
 * @param {Packages} wanted `packages` of package-lock.json
 * @param {Packages | null} installed `packages` of node_modules/.package-lock.json, which npm writes last
 * @param {{ dev: boolean, os: string, cpu: string }} host dev: whether development dependencies are needed
 * @returns {string | null}
 *
 * @typedef {string | string[]} Platforms
 * @typedef {{ version?: string, integrity?: string, dev?: boolean, optional?: boolean, devOptional?: boolean,
 *   peer?: boolean, link?: boolean, os?: Platforms, cpu?: Platforms }} Package
 * @typedef {Record<string, Package>} Packages
 */
export function whyStale(wanted, installed, host) {
  if (installed === null) return "node_modules is missing or incomplete";
  /** @param {Package} entry */
  const isOurs = (entry) => suits(entry.os, host.os) && suits(entry.cpu, host.cpu);
  let lacksOurs = false;
  let hasForeign = false;
  for (const path of Object.keys(wanted)) {
    const want = wanted[path];
    const have = installed[path];
    if (path === "" || !want || want.link) continue;
    if (!have) {
      lacksOurs = lacksOurs || isOurs(want);
      if (want.optional || want.peer || ((want.dev || want.devOptional) && !host.dev)) continue;
      return `${path} is missing`;
    }
    if (have.version !== want.version || have.integrity !== want.integrity)
      return `${path} is another version`;
    hasForeign = hasForeign || !isOurs(have);
  }
  return lacksOurs && hasForeign ? "node_modules is from another machine" : null;
}

/**
 * @param {Platforms | undefined} list as in package.json: names, or names to leave out with "!" in front
 * @param {string} name
 */
function suits(list, name) {
  const names = list === undefined ? [] : Array.isArray(list) ? list : [list];
  const without = names.filter((each) => each.startsWith("!"));
  if (without.includes(`!${name}`)) return false;
  return names.length === without.length || names.includes(name) || names.includes("any");
}
