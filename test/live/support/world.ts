import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { sh } from "./shell.ts";

/** One host of the test's own network: a namespace with a device towards the other. */
export interface Host {
  /** Name for `ip netns`. */
  readonly netns: string;
  readonly dev: string;
  readonly address: string;
  readonly address6: string;
  /** Runs a command inside. */
  run(command: string, ...args: string[]): Promise<string>;
  inode(): Promise<number>;
}

export interface World extends AsyncDisposable {
  readonly client: Host;
  readonly server: Host;
}

/**
 * Two hosts joined by a veth pair: 10.83.x.1 (client) and 10.83.x.2 (server), fd83:x::1 and ::2. Names are unique, so tests can run beside
 * each other and beside anything else; disposing removes everything, also after a failed test.
 */
export async function createWorld(options: { mtu?: number } = {}): Promise<World> {
  const id = randomBytes(3).toString("hex");
  const subnet = randomBytes(1)[0] ?? 0;
  const names = { client: `tc-${id}`, server: `ts-${id}` };
  const cleanup = () => {
    for (const name of Object.values(names)) {
      try {
        execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
      } catch {
        // It was never made, or is gone.
      }
    }
  };
  process.once("exit", cleanup);
  const host = (netns: string, dev: string, last: number): Host => ({
    netns,
    dev,
    address: `10.83.${subnet}.${last}`,
    address6: `fd83:${subnet.toString(16)}::${last}`,
    run: (command, ...args) => sh("ip", "netns", "exec", netns, command, ...args),
    inode: async () =>
      Number(/\d+/.exec(await sh("ip", "netns", "exec", netns, "readlink", "/proc/self/ns/net"))?.[0]),
  });
  const client = host(names.client, `c${id}`, 1);
  const server = host(names.server, `s${id}`, 2);
  try {
    await sh("ip", "netns", "add", client.netns);
    await sh("ip", "netns", "add", server.netns);
    await sh(
      "ip",
      "link",
      "add",
      client.dev,
      "netns",
      client.netns,
      "type",
      "veth",
      "peer",
      "name",
      server.dev,
      "netns",
      server.netns,
    );
    for (const end of [client, server]) {
      await sh("ip", "-n", end.netns, "link", "set", "lo", "up");
      await sh("ip", "-n", end.netns, "addr", "add", `${end.address}/24`, "dev", end.dev);
      // nodad: no second of duplicate address detection before the address can be used.
      await sh("ip", "-n", end.netns, "addr", "add", `${end.address6}/64`, "dev", end.dev, "nodad");
      await sh(
        "ip",
        "-n",
        end.netns,
        "link",
        "set",
        end.dev,
        ...(options.mtu === undefined ? [] : ["mtu", String(options.mtu)]),
        "up",
      );
    }
  } catch (error) {
    cleanup();
    throw error;
  }
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      cleanup();
      process.off("exit", cleanup);
    },
  };
}
