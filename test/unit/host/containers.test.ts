import { describe, expect, test } from "vitest";
import { createContainerDirectory, describeOwner } from "../../../src/host/containers.ts";
import { makeTree } from "./tree.ts";

const ID = "3f4b0c6e9d1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4";
const UID = "0d9a7f5e-1c2b-4a3d-8e9f-0123456789ab";
const POD_SLICE = `/kubepods.slice/kubepods-pod${UID.replaceAll("-", "_")}.slice`;

const DOCKER = {
  [`var/lib/docker/containers/${ID}/config.v2.json`]: JSON.stringify({
    ID,
    Name: "/web",
    Config: { Image: "nginx:1.27", Labels: { "com.docker.compose.service": "web" } },
    NetworkSettings: { SandboxKey: "/var/run/docker/netns/1f2e3d4c5b6a" },
  }),
};

/** What containerd's CRI plug-in writes into a bundle. */
function bundle(annotations: Record<string, string>): string {
  const namespaces = [{ type: "pid" }, { type: "network", path: "/var/run/netns/cni-1" }];
  return JSON.stringify({ ociVersion: "1.2.0", linux: { namespaces }, annotations });
}

describe("by cgroup path and files on disk", () => {
  test("docker", async () => {
    const directory = createContainerDirectory({ root: makeTree(DOCKER) });
    const owner = await directory.byCgroup(`/system.slice/docker-${ID}.scope`);
    expect(owner?.container).toEqual({
      runtime: "docker",
      id: ID,
      name: "web",
      image: "nginx:1.27",
      pod: null,
      podNamespace: null,
      podUid: null,
      isSandbox: false,
      netnsPath: "/var/run/docker/netns/1f2e3d4c5b6a",
    });
    expect(owner === null ? null : describeOwner(owner)).toBe("docker container web");
  });

  test("docker with its data elsewhere", async () => {
    const state = Object.values(DOCKER)[0] ?? "";
    const root = makeTree({
      "etc/docker/daemon.json": '{"data-root": "/data/docker"}',
      [`data/docker/containers/${ID}/config.v2.json`]: state,
    });
    expect((await createContainerDirectory({ root }).byCgroup(`/docker/${ID}`))?.container?.name).toBe("web");
  });

  test("a Kubernetes container under containerd, also with the driver that hides the runtime", async () => {
    const root = makeTree({
      [`run/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`]: bundle({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "api",
        "io.kubernetes.cri.image-name": "registry.example/api:3",
        "io.kubernetes.cri.sandbox-name": "api-7d9f",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": UID,
      }),
    });
    const directory = createContainerDirectory({ root });
    for (const path of [`${POD_SLICE}/cri-containerd-${ID}.scope`, `/kubepods/burstable/pod${UID}/${ID}`]) {
      const owner = await directory.byCgroup(path);
      expect(owner?.container).toMatchObject({
        runtime: "containerd",
        name: "api",
        pod: "api-7d9f",
        podNamespace: "shop",
        podUid: UID,
        netnsPath: "/var/run/netns/cni-1",
      });
      expect(owner === null ? null : describeOwner(owner)).toBe("pod shop/api-7d9f (api)");
    }
  });

  test("the pause container of CRI-O stands for its pod", async () => {
    const root = makeTree({
      [`run/containers/storage/overlay-containers/${ID}/userdata/config.json`]: bundle({
        "io.kubernetes.cri-o.ContainerType": "sandbox",
        "io.kubernetes.container.name": "POD",
        "io.kubernetes.pod.name": "db-0",
        "io.kubernetes.pod.namespace": "shop",
      }),
    });
    const owner = await createContainerDirectory({ root }).byCgroup(`${POD_SLICE}/crio-${ID}.scope`);
    expect(owner?.container).toMatchObject({ runtime: "cri-o", isSandbox: true, pod: "db-0", podUid: UID });
    expect(owner === null ? null : describeOwner(owner)).toBe("pod shop/db-0");
  });

  test.each([
    "var/lib/containers/storage/overlay-containers/containers.json",
    "home/ann/.local/share/containers/storage/vfs-containers/containers.json",
  ])("podman, %s", async (path) => {
    const metadata = JSON.stringify({ "image-name": "docker.io/library/redis:8", name: "cache" });
    const root = makeTree({
      [path]: JSON.stringify([{ id: "0".repeat(64) }, { id: ID, names: ["cache"], metadata }]),
      "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n",
    });
    const owner = await createContainerDirectory({ root }).byCgroup(
      `/machine.slice/libpod-${ID}.scope/container`,
    );
    expect(owner?.container).toMatchObject({
      runtime: "podman",
      name: "cache",
      image: "docker.io/library/redis:8",
    });
  });

  test("the name of a pod whose containers are gone comes from its log folder", async () => {
    const root = makeTree({ [`var/log/pods/shop_api-7d9f_${UID}/api/0.log`]: "", "var/log/pods/other": "" });
    const owner = await createContainerDirectory({ root }).byCgroup(POD_SLICE);
    expect(owner?.container).toMatchObject({ id: null, pod: "api-7d9f", podNamespace: "shop", podUid: UID });
    expect(owner === null ? null : describeOwner(owner)).toBe("pod shop/api-7d9f");
  });

  test("without files the path still tells what it can", async () => {
    const directory = createContainerDirectory({ root: makeTree({}) });
    const tell = async (path: string) => {
      const owner = await directory.byCgroup(path);
      return owner === null ? null : describeOwner(owner);
    };
    expect(await tell(`/docker/${ID}`)).toBe(`docker container ${ID.slice(0, 12)}`);
    expect(await tell(`/kubepods/pod${UID}/${ID}`)).toBe(`pod ${UID} (${ID.slice(0, 12)})`);
    expect(await tell(POD_SLICE)).toBe(`pod ${UID}`);
    expect(await tell("/lxc.payload.web")).toBe("lxc container web");
    expect(await tell("/system.slice/nginx.service")).toBe("nginx.service");
    expect(await tell("/")).toBeNull();
  });
});

describe("hostile state", () => {
  test.each([
    "",
    "[]",
    "{",
    "null",
    '{"Config":7,"Name":{"a":1},"NetworkSettings":[]}',
    '{"__proto__":{"Name":"/x"}}',
  ])("%s gives no name and no throw", async (content) => {
    const root = makeTree({ [`var/lib/docker/containers/${ID}/config.v2.json`]: content });
    const owner = await createContainerDirectory({ root }).byCgroup(`/docker/${ID}`);
    expect(owner?.container).toMatchObject({ runtime: "docker", id: ID, name: null, image: null });
  });

  test("a name is cut, not trusted to be short", async () => {
    const root = makeTree({
      [`var/lib/docker/containers/${ID}/config.v2.json`]: JSON.stringify({ Name: `/${"x".repeat(100_000)}` }),
    });
    const owner = await createContainerDirectory({ root }).byCgroup(`/docker/${ID}`);
    expect(owner?.container?.name?.length).toBeLessThanOrEqual(256);
  });
});

test("by process: what /proc says now", async () => {
  const root = makeTree({ "proc/7/cgroup": "0::/system.slice/nginx.service\n" });
  const directory = createContainerDirectory({ root });
  expect(await directory.byPid(7)).toEqual({ container: null, unit: "nginx.service" });
  expect(await directory.byPid(8)).toBeNull();
});
