import { join } from "node:path";
import { exists, readLink, readText } from "./read.ts";

/** PROC_PID_INIT_INO (linux kernel, include/linux/proc_ns.h): the same on every machine. */
const INITIAL_PID_NAMESPACE = 0xeffffffc;

/** Whether this process is in the machine's first pid namespace; null when the kernel does not say. */
export async function isInitialPidNamespace(root: string): Promise<boolean | null> {
  const inode = parseNamespaceInode(await readLink(join(root, "/proc/self/ns/pid")));
  return inode === null ? null : inode === INITIAL_PID_NAMESPACE;
}

/** The inode in a namespace link such as `net:[4026531840]`, or null. */
export function parseNamespaceInode(link: string | null): number | null {
  const digits = /^\w+:\[(\d{1,15})\]$/.exec(link ?? "")?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The first thing that says this is the inside of a container, in words; null when nothing does. */
export async function findContainerHint(root: string): Promise<string | null> {
  if (await exists(join(root, "/.dockerenv"))) return "/.dockerenv exists";
  if (await exists(join(root, "/run/.containerenv"))) return "/run/.containerenv exists";
  const systemd = (await readText(join(root, "/run/systemd/container")))?.trim();
  if (systemd) return `/run/systemd/container says ${systemd.slice(0, 40)}`;
  const environment = (await readText(join(root, "/proc/1/environ")))?.split("\0") ?? [];
  const variable = environment.find((entry) => entry.startsWith("container=") && entry.length > 10);
  if (variable !== undefined) return `the first process has ${variable.slice(0, 50)}`;
  return (await isInitialPidNamespace(root)) === false ? "this is not the first pid namespace" : null;
}
