/** How to install software here. Plain data and one lookup, so that the bootstrap (plain JavaScript) can mirror it. */

export type PackageManager = "apt-get" | "dnf" | "zypper" | "pacman" | "apk";

/** What trace may ask for, by what it is for; distributions name the packages differently. */
export type PackageName =
  | "bpftrace"
  | "iproute"
  | "tc"
  | "nftables"
  | "iptables"
  | "ethtool"
  | "util-linux"
  | "conntrack"
  | "kernel-headers";

/** `/etc/os-release` (os-release(5)) as names and values; lines of another shape are left out. */
export function parseOsRelease(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const [, name, value = ""] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim()) ?? [];
    if (name === undefined) continue;
    const quoted = /^(["'])(.*)\1$/.exec(value);
    values[name] = (quoted?.[2] ?? value).replaceAll(/\\(["'$`\\])/g, "$1");
  }
  return values;
}

/** `ID` or a word of `ID_LIKE` → the package manager. The first that matches counts, `ID` before `ID_LIKE`. */
const MANAGERS: Readonly<Record<string, PackageManager>> = {
  debian: "apt-get",
  ubuntu: "apt-get",
  fedora: "dnf",
  rhel: "dnf",
  centos: "dnf",
  amzn: "dnf",
  suse: "zypper",
  opensuse: "zypper",
  sles: "zypper",
  arch: "pacman",
  alpine: "apk",
};

/** Arguments that install without a question. */
const INSTALL: Readonly<Record<PackageManager, readonly string[]>> = {
  "apt-get": ["apt-get", "install", "-y", "--no-install-recommends"],
  dnf: ["dnf", "install", "-y"],
  zypper: ["zypper", "--non-interactive", "install", "--no-recommends"],
  pacman: ["pacman", "-S", "--noconfirm", "--needed"],
  apk: ["apk", "add", "--no-cache"],
};

/** Arguments that fetch the lists of packages, for when installing says that it knows no such package. */
const REFRESH: Readonly<Record<PackageManager, readonly string[] | null>> = {
  "apt-get": ["apt-get", "update"],
  dnf: null,
  zypper: ["zypper", "--non-interactive", "refresh"],
  // A refresh without an upgrade of everything breaks Arch (partial upgrades are not supported there).
  pacman: null,
  apk: null,
};

/** Names that differ from ours; bpftrace has the same name everywhere (community repository on Alpine, AppStream on RHEL). */
const RENAMED: Readonly<Record<PackageManager, Partial<Record<PackageName, string>>>> = {
  "apt-get": { iproute: "iproute2", tc: "iproute2", "kernel-headers": "linux-libc-dev" },
  dnf: { tc: "iproute-tc", conntrack: "conntrack-tools" },
  zypper: {
    iproute: "iproute2",
    tc: "iproute2",
    conntrack: "conntrack-tools",
    "kernel-headers": "linux-glibc-devel",
  },
  pacman: {
    iproute: "iproute2",
    tc: "iproute2",
    conntrack: "conntrack-tools",
    "kernel-headers": "linux-api-headers",
  },
  apk: {
    iproute: "iproute2",
    tc: "iproute2-tc",
    "util-linux": "util-linux-misc",
    conntrack: "conntrack-tools",
    "kernel-headers": "linux-headers",
  },
};

/** RHEL 7 and Amazon Linux 2: no bpftrace (or none that old kernels could use) in the distribution's own repositories. */
function isTooOld(osRelease: Readonly<Record<string, string>>): boolean {
  const major = Number.parseInt(osRelease["VERSION_ID"] ?? "", 10);
  if (osRelease["ID"] === "amzn") return major === 2;
  const isRhel = ["rhel", "centos", "ol", "scientific"].includes(osRelease["ID"] ?? "");
  return isRhel && major <= 7;
}

/** The system's package manager, or null where none fits (unknown, too old, or an image-based system). */
export function findPackageManager(osRelease: Readonly<Record<string, string>>): PackageManager | null {
  // Fedora CoreOS, Silverblue and the like: dnf cannot change the running system.
  if (osRelease["OSTREE_VERSION"] !== undefined || isTooOld(osRelease)) return null;
  const ids = [osRelease["ID"] ?? "", ...(osRelease["ID_LIKE"] ?? "").split(/\s+/)];
  for (const id of ids) {
    // openSUSE writes `opensuse-leap`, `opensuse-tumbleweed`; SUSE `sles`, `sle-micro` (image-based).
    const key = id.startsWith("opensuse-") ? "opensuse" : id;
    if (Object.hasOwn(MANAGERS, key)) return MANAGERS[key] ?? null;
  }
  return null;
}

/** Command that installs the package here (as root), or null where no package manager is known. */
export function installCommand(
  osRelease: Readonly<Record<string, string>>,
  packageName: PackageName,
): string[] | null {
  const manager = findPackageManager(osRelease);
  if (manager === null) return null;
  return [...INSTALL[manager], RENAMED[manager][packageName] ?? packageName];
}

/** Command that brings the package lists up to date, or null where installing does it by itself. */
export function refreshCommand(osRelease: Readonly<Record<string, string>>): string[] | null {
  const manager = findPackageManager(osRelease);
  const command = manager === null ? null : REFRESH[manager];
  return command === null ? null : [...command];
}
