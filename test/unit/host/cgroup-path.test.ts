import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseCgroupPath, readCgroupPath } from "../../../src/host/cgroup-path.ts";
import { anyText } from "./any-text.ts";

const ID = "3f4b0c6e9d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4";
const OTHER = "aa".repeat(32);
const UID = "0d9a7f5e-1c2b-4a3d-8e9f-0123456789ab";
const UID_SLICE = UID.replaceAll("-", "_");

/** Paths as the runtimes make them, with either cgroup driver. */
test.each<
  [path: string, runtime: string | null, id: string | null, podUid: string | null, unit: string | null]
>([
  [`/system.slice/docker-${ID}.scope`, "docker", ID, null, `docker-${ID}.scope`],
  [`/docker/${ID}`, "docker", ID, null, null],
  [`/docker/${ID}/init.scope`, "docker", ID, null, null],
  [`/machine.slice/libpod-${ID}.scope/container`, "podman", ID, null, `libpod-${ID}.scope`],
  [`/libpod_parent/libpod-${ID}`, "podman", ID, null, null],
  [`/machine.slice/libpod-conmon-${ID}.scope`, null, null, null, `libpod-conmon-${ID}.scope`],
  [
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope`,
    "podman",
    ID,
    null,
    `libpod-${ID}.scope`,
  ],
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_SLICE}.slice/cri-containerd-${ID}.scope`,
    "containerd",
    ID,
    UID,
    `cri-containerd-${ID}.scope`,
  ],
  [`/kubepods.slice/kubepods-pod${UID_SLICE}.slice/crio-${ID}.scope`, "cri-o", ID, UID, `crio-${ID}.scope`],
  [
    `/kubepods.slice/kubepods-pod${UID_SLICE}.slice/crio-conmon-${ID}.scope`,
    null,
    null,
    UID,
    `crio-conmon-${ID}.scope`,
  ],
  [`/kubepods/besteffort/pod${UID}/${ID}`, "unknown", ID, UID, null],
  [`/kubepods/pod${"ab".repeat(16)}/${ID}`, "unknown", ID, "ab".repeat(16), null],
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_SLICE}.slice`,
    null,
    null,
    UID,
    null,
  ],
  [
    `/system.slice/containerd.service/kubepods-burstable-pod${UID_SLICE}.slice:cri-containerd:${ID}`,
    "containerd",
    ID,
    UID,
    "containerd.service",
  ],
  [
    `/docker/${OTHER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${UID_SLICE}.slice/cri-containerd-${ID}.scope`,
    "containerd",
    ID,
    UID,
    null,
  ],
  [`/default/${ID}`, "containerd", ID, null, null],
  [`/system.slice/nerdctl-${ID}.scope`, "containerd", ID, null, `nerdctl-${ID}.scope`],
  [`/ecs/0a1b2c3d/${ID}`, "unknown", ID, null, null],
  ["/lxc.payload.web/system.slice/nginx.service", "lxc", "web", null, null],
  ["/lxc/web", "lxc", "web", null, null],
  [
    "/machine.slice/machine-my\\x2dhost.scope/payload",
    "systemd-nspawn",
    "my-host",
    null,
    "machine-my\\x2dhost.scope",
  ],
  [
    "/machine.slice/systemd-nspawn@db.service/payload",
    "systemd-nspawn",
    "db",
    null,
    "systemd-nspawn@db.service",
  ],
  ["/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", null, null, null, "machine-qemu\\x2d1\\x2dvm.scope"],
  ["/system.slice/nginx.service", null, null, null, "nginx.service"],
  ["/user.slice/user-1000.slice/session-3.scope", null, null, null, "session-3.scope"],
  ["/user.slice/user-1000.slice/user@1000.service/app.slice/a.service", null, null, null, "a.service"],
  ["/", null, null, null, null],
  ["", null, null, null, null],
  ["/constructor/__proto__", null, null, null, null],
  [`/../../kubepods/pod${UID}/${ID}`, "unknown", ID, UID, null],
])("%s", (path, runtime, id, podUid, unit) => {
  const container = runtime === null ? null : { runtime, id };
  expect(readCgroupPath(path)).toEqual({ container, podUid, unit });
});

describe("/proc/PID/cgroup", () => {
  test("of v1 the line with the container, wherever it is", () => {
    expect(chooseCgroupPath(`9:pids:/docker/${ID}\n4:memory:/\n1:name=systemd:/\n0::/\n`)).toBe(
      `/docker/${ID}`,
    );
  });

  test("of hybrid systemd's line when only it tells the unit", () => {
    const text = "12:memory:/user.slice\n1:name=systemd:/system.slice/nginx.service\n0::/\n";
    expect(chooseCgroupPath(text)).toBe("/system.slice/nginx.service");
  });

  test("of v2 the one line, colons in it too", () => {
    expect(chooseCgroupPath("0::/a:b/c.service\n")).toBe("/a:b/c.service");
    expect(chooseCgroupPath("0::/\n")).toBe("/");
    expect(chooseCgroupPath("rubbish")).toBeNull();
  });
});

test("any path: no throw", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(Object.keys(readCgroupPath(text))).toEqual(["container", "podUid", "unit"]);
      expect(chooseCgroupPath(`0::/${text}`)).not.toBe("");
    }),
  );
});
