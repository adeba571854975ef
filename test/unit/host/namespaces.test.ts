import { join } from "node:path";
import { expect, test } from "vitest";
import { createNetnsDirectory, type NetnsDirectory } from "../../../src/host/namespaces.ts";
import { makeProcess, makeTree, type Entry } from "./tree.ts";

const ID = "3f4b0c6e9d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4";
const POD_ID = "bb".repeat(32);
const UID = "0d9a7f5e-1c2b-4a3d-8e9f-0123456789ab";
const [HOST, NAMED, DOCKER, POD, BARE, EMPTY] = [
  4_026_531_840, 4_026_532_001, 4_026_532_002, 4_026_532_003, 4_026_532_004, 4_026_532_005,
] as const;
const CNI = "cni-0d9a7f5e-1c2b-4a3d-8e9f-0123456789ab";

/** Files that stand for namespaces; `stat` cannot be faked, so the test says what they are. */
const FILES: Record<string, number> = {
  "/run/netns/srv": NAMED,
  "/run/netns/left-over": 0,
  [`/run/netns/${CNI}`]: POD,
  "/run/netns/empty": EMPTY,
  "/run/docker/netns/1f2e3d4c5b6a": DOCKER,
  "/run/docker/netns/default": HOST,
};

function makeMachine(extra: Record<string, Entry> = {}): { root: string; directory: NetnsDirectory } {
  const root = makeTree({
    ...makeProcess(1, { netns: HOST, comm: "systemd", cgroup: "/init.scope" }),
    ...makeProcess(50, { netns: NAMED, comm: "sh", start: 900 }),
    ...makeProcess(60, { netns: NAMED, comm: "worker (1) x", start: 800 }),
    ...makeProcess(70, { netns: DOCKER, comm: "nginx", cgroup: `/docker/${ID}` }),
    ...makeProcess(80, { netns: POD, comm: "pause", cgroup: `/kubepods/pod${UID}/${POD_ID}` }),
    ...makeProcess(90, { netns: BARE, comm: "\u001b[31mevil\nname", cgroup: "/system.slice/x.service" }),
    "proc/100/comm": "gone\n",
    [`var/lib/docker/containers/${ID}/config.v2.json`]: JSON.stringify({ Name: "/web" }),
    [`run/containerd/io.containerd.runtime.v2.task/k8s.io/${POD_ID}/config.json`]: JSON.stringify({
      annotations: {
        "io.kubernetes.cri.sandbox-name": "api-0",
        "io.kubernetes.cri.sandbox-namespace": "shop",
      },
    }),
    ...Object.fromEntries(Object.keys(FILES).map((path) => [path.slice(1), ""])),
    ...extra,
  });
  const readInode = (path: string): Promise<number | null> =>
    Promise.resolve(FILES[path.slice(root.length)] || null);
  return { root, directory: createNetnsDirectory({ root, readInode }) };
}

test("empty until it has looked", async () => {
  const { directory } = makeMachine();
  expect(directory.list()).toEqual([]);
  expect(directory.byInode(HOST)).toBeNull();
  await directory.refresh();
  expect(directory.list().length).toBe(6);
});

test("each namespace has its best name and a way in", async () => {
  const { directory } = makeMachine();
  await directory.refresh();
  const shown = directory
    .list()
    .map(({ inode, name, kind, path, pid, comm }) => [inode, name, kind, path, pid, comm]);
  expect(shown).toEqual([
    [HOST, "host", "host", "/proc/1/ns/net", 1, "systemd"],
    [EMPTY, "empty", "named", "/run/netns/empty", null, null],
    // 60 is the older one although its number is higher; its comm has parentheses.
    [NAMED, "srv", "named", "/run/netns/srv", 60, "worker (1) x"],
    [POD, "shop/api-0", "pod", `/run/netns/${CNI}`, 80, "pause"],
    [DOCKER, "web", "container", "/run/docker/netns/1f2e3d4c5b6a", 70, "nginx"],
    [BARE, null, "process", "/proc/90/ns/net", 90, "\u001b[31mevil\nname"],
  ]);
});

test("a name that a person gave wins over the container in it", async () => {
  const { directory } = makeMachine(
    makeProcess(61, { netns: NAMED, comm: "old", start: 1, cgroup: `/docker/${ID}` }),
  );
  await directory.refresh();
  expect(directory.byInode(NAMED)).toMatchObject({ name: "srv", kind: "named", container: { name: "web" } });
});

test.each([
  ["host", HOST],
  ["srv", NAMED],
  ["web", DOCKER],
  [ID.slice(0, 12), DOCKER],
  ["shop/api-0", POD],
  ["api-0", POD],
  ["60", NAMED],
  ["1", HOST],
  [String(BARE), BARE],
  [`net:[${BARE}]`, BARE],
])("%s means %d", async (text, inode) => {
  const { directory } = makeMachine();
  await directory.refresh();
  expect(directory.resolve(text)?.inode).toBe(inode);
});

test.each(["", "nobody", "100", "999999", "-1", "3f4", "1e3", "__proto__", "left-over"])(
  "%j means none",
  async (text) => {
    const { directory } = makeMachine();
    await directory.refresh();
    expect(directory.resolve(text)).toBeNull();
  },
);

test("where the first process may not be looked at, the namespace made first is the host's", async () => {
  const root = makeTree({
    "proc/1/comm": "init\n",
    ...makeProcess(2, { netns: HOST, comm: "kthreadd" }),
    ...makeProcess(70, { netns: BARE, comm: "x" }),
  });
  const directory = createNetnsDirectory({ root, readInode: () => Promise.resolve(null) });
  await directory.refresh();
  expect(directory.byInode(HOST)).toMatchObject({
    kind: "host",
    path: "/proc/2/ns/net",
    pid: 1,
    comm: "init",
  });
  expect(directory.resolve("1")?.inode).toBe(HOST);
  expect(directory.byInode(BARE)?.kind).toBe("process");
});

test("no /proc at all: nothing, and no throw", async () => {
  const directory = createNetnsDirectory({ root: makeTree({}) });
  await directory.refresh();
  expect(directory.list()).toEqual([]);
});

test("a file that is no mount of a namespace has no name to give", async () => {
  const { root } = makeMachine();
  const directory = createNetnsDirectory({ root });
  await directory.refresh();
  // Ordinary files here: their inodes are not those of namespaces.
  expect(directory.byInode(NAMED)).toMatchObject({ kind: "process", path: "/proc/60/ns/net" });
  expect(directory.resolve("empty")).toBeNull();
});

test("processes come and go between two looks", async () => {
  const { root, directory } = makeMachine();
  await directory.refresh();
  const { rmSync } = await import("node:fs");
  rmSync(join(root, "proc/90"), { recursive: true });
  await directory.refresh();
  expect(directory.byInode(BARE)).toBeNull();
});
