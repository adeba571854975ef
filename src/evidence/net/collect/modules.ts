import { readText } from "../../../host/read.ts";

/**
 * Whether a part of the kernel is a module that is not loaded: asking its tools would load it, and then there is
 * nothing to tell anyway. False when it is loaded, built in, or when that cannot be known.
 */
export async function isModuleUnloaded(name: string, release: string): Promise<boolean> {
  const loaded = await readText("/proc/modules");
  if (loaded === null || new RegExp(`^${name} `, "m").test(loaded)) return false;
  const dependencies = await readText(`/lib/modules/${release}/modules.dep`);
  return dependencies !== null && new RegExp(`/${name}\\.ko`).test(dependencies);
}
