import { readdirSync, readFileSync } from "node:fs";

/** The folder of recordings of real hosts. */
export const HOSTS = new URL("../../../fixtures/hosts/", import.meta.url);

/** Kernels with recordings, e.g. `6.18`. */
export const KERNELS = readdirSync(HOSTS).filter((name) => /^\d+\.\d+$/u.test(name));

/** Text of a recording below fixtures/hosts. */
export function readHostFile(path: string): string {
  return readFileSync(new URL(path, HOSTS), "utf8");
}

/** Lines of a recording without comments and empty lines. */
export function readHostLines(path: string): string[] {
  return readHostFile(path)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** Programs the catalogues may tell an operator to run. Anything else is prose and belongs behind `# `. */
const TOOLS = new Set(
  `arping auditctl ausearch bluetoothctl bpftool bridge btrfs cat ceph conntrack cryptsetup df dlm_tool dmesg dmsetup
   drbdadm ethtool findmnt free grep iostat ip ip6tables ip6tables-save ipmitool iptables iptables-legacy-save
   iptables-save ipvsadm iscsiadm iw journalctl losetup ls lsblk lsmod lsns lsusb modprobe mpstat multipath nbd-client
   nfsiostat nfsstat nft nstat nvidia-smi nvme ovs-appctl ovs-dpctl ovs-ofctl ovs-vsctl pmc ps ras-mc-ctl rbd rdma
   smartctl ss sysctl systemctl systemd-cgtop targetcli tc tcpdump teamdctl top trace tracepath traceroute ubinfo
   udevadm uptime vdostats virsh vmstat vmware-toolbox-cmd wc wdctl wg xfs_info xl zpool`.split(/\s+/u),
);

/** Options and verbs by which a command would change the host: none of them belongs in a check. */
const CHANGES =
  /^(?:modprobe|sysctl -w|ethtool -[ACEGKLNXs] |(?:ip|bridge|tc)\b.*\b(?:add|del|delete|set|change|replace|flush|append)\b|nft (?:add|delete|flush)|ip6?tables )/u;

/** What is wrong with a list of command lines of a catalogue entry; empty where nothing is. */
export function findCommandFaults(
  lines: readonly string[],
  options: { placeholders: readonly string[]; readOnly: boolean },
): string[] {
  return lines.flatMap((line) => findLineFaults(line, options).map((fault) => `${fault}: ${line}`));
}

function findLineFaults(
  line: string,
  options: { placeholders: readonly string[]; readOnly: boolean },
): string[] {
  const faults: string[] = [];
  if (line !== line.trim() || line === "") faults.push("empty or padded");
  if (/[\p{Cc}`]/u.test(line)) faults.push("control character or backtick");
  if (line.length > 170) faults.push("too long");
  for (const [, name = ""] of line.matchAll(/(?<!\$)\{([^}]*)\}/gu)) {
    if (!options.placeholders.includes(name)) faults.push(`unknown placeholder {${name}}`);
  }
  if (/[^\s:;(]\{ns\}|(?<=\w\s)\{ns\}(?! *\w)/u.test(line)) faults.push("{ns} inside a word");
  if (line.startsWith("#")) {
    if (!line.startsWith("# ")) faults.push("advice starts with '# '");
    return faults;
  }
  const command = line.startsWith("{ns}") ? line.slice("{ns}".length) : line;
  if (command.includes("{ns}")) faults.push("{ns} belongs at the start");
  if (!TOOLS.has(command.split(" ", 1)[0] ?? "")) faults.push("not a known program");
  if (options.readOnly && CHANGES.test(command)) faults.push("a check must not change the host");
  return faults;
}

/** Whether a line can be pasted when nothing is known of the flow but the namespace. */
export function needsNoFlow(line: string): boolean {
  return !/(?<!\$)\{(?!ns\})/u.test(line);
}
