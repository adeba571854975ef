import { sh } from "./shell.ts";

/** Settings that the kernel has once for all namespaces: changed for as long as `work` takes, and put back whatever happens. */
export async function withSettings<T>(
  settings: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> {
  const names = Object.keys(settings);
  const before = await Promise.all(names.map(async (name) => (await sh("sysctl", "-n", name)).trim()));
  const restore = async () => {
    // The other way round: some settings bound each other.
    for (const [index, name] of [...names.entries()].toReversed())
      // oxlint-disable-next-line no-await-in-loop -- in that order
      await sh("sysctl", "-qw", `${name}=${before[index]}`);
  };
  try {
    for (const [name, value] of Object.entries(settings))
      // oxlint-disable-next-line no-await-in-loop -- in that order
      await sh("sysctl", "-qw", `${name}=${value}`);
    return await work();
  } finally {
    await restore();
  }
}
