import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  findPackageManager,
  installCommand,
  parseOsRelease,
  refreshCommand,
} from "../../../src/host/packages.ts";
import { anyText } from "./any-text.ts";

// The lines that count of the distributions' own files.
const RELEASES: Record<string, string> = {
  debian: 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n',
  testing: 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nID=debian\n',
  ubuntu: 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n',
  mint: 'ID=linuxmint\nVERSION_ID="22"\nID_LIKE="ubuntu debian"\n',
  fedora: "ID=fedora\nVERSION_ID=42\nVARIANT_ID=server\n",
  coreos: 'ID=fedora\nVERSION_ID=42\nVARIANT_ID=coreos\nOSTREE_VERSION="42.20250705.3.0"\n',
  rhel: 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n',
  rocky: 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n',
  centos7: 'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n',
  leap: 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n',
  sles: 'ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\n',
  arch: "ID=arch\nBUILD_ID=rolling\n",
  alpine: "ID=alpine\nVERSION_ID=3.22.0\n",
  amazon2023: 'ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n',
  amazon2: 'ID="amzn"\nID_LIKE="centos rhel fedora"\nVERSION_ID="2"\n',
  nixos: "ID=nixos\n",
  nothing: "",
};

function read(name: string): Record<string, string> {
  return parseOsRelease(RELEASES[name] ?? "");
}

test.each([
  ["debian", "apt-get install -y --no-install-recommends bpftrace"],
  ["testing", "apt-get install -y --no-install-recommends bpftrace"],
  ["ubuntu", "apt-get install -y --no-install-recommends bpftrace"],
  ["mint", "apt-get install -y --no-install-recommends bpftrace"],
  ["fedora", "dnf install -y bpftrace"],
  ["rhel", "dnf install -y bpftrace"],
  ["rocky", "dnf install -y bpftrace"],
  ["amazon2023", "dnf install -y bpftrace"],
  ["leap", "zypper --non-interactive install --no-recommends bpftrace"],
  ["sles", "zypper --non-interactive install --no-recommends bpftrace"],
  ["arch", "pacman -S --noconfirm --needed bpftrace"],
  ["alpine", "apk add --no-cache bpftrace"],
  ["coreos", undefined],
  ["centos7", undefined],
  ["amazon2", undefined],
  ["nixos", undefined],
  ["nothing", undefined],
])("%s: %s", (name, command) => {
  expect(installCommand(read(name), "bpftrace")?.join(" ")).toBe(command);
});

function packageNames(release: string): (string | undefined)[] {
  return (["iproute", "tc", "conntrack", "util-linux", "kernel-headers"] as const).map((name) =>
    installCommand(read(release), name)?.at(-1),
  );
}

test("packages have the distribution's own names", () => {
  expect(packageNames("ubuntu")).toEqual([
    "iproute2",
    "iproute2",
    "conntrack",
    "util-linux",
    "linux-libc-dev",
  ]);
  expect(packageNames("rocky")).toEqual([
    "iproute",
    "iproute-tc",
    "conntrack-tools",
    "util-linux",
    "kernel-headers",
  ]);
  expect(packageNames("alpine")).toEqual([
    "iproute2",
    "iproute2-tc",
    "conntrack-tools",
    "util-linux-misc",
    "linux-headers",
  ]);
});

test("lists are fetched where installing does not do it", () => {
  expect(refreshCommand(read("debian"))).toEqual(["apt-get", "update"]);
  expect(refreshCommand(read("fedora"))).toBeNull();
  expect(refreshCommand(read("arch"))).toBeNull();
  expect(refreshCommand(read("nothing"))).toBeNull();
});

describe("os-release", () => {
  test("quotes, escapes, comments", () => {
    expect(parseOsRelease('# x\nA=\'b c\'\nB="d \\"e\\" \\$f"\nC=\n  D=g  \nlower=1\nrubbish\n')).toEqual({
      A: "b c",
      B: 'd "e" $f',
      C: "",
      D: "g",
    });
  });

  test("any text: no throw, no command that is not from the table", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const release = parseOsRelease(`ID=${text}\nID_LIKE=${text}\n`);
        expect([null, "apt-get", "dnf", "zypper", "pacman", "apk"]).toContain(findPackageManager(release));
      }),
    );
    expect(findPackageManager({ ID: "constructor" })).toBeNull();
  });
});
