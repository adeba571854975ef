/** What running a small helper program came to. Output is text from the system: hostile data. */
export type ToolResult =
  | { readonly ok: true; readonly stdout: string }
  | { readonly ok: false; readonly reason: "missing" | "timeout" | "failed"; readonly message: string };

/**
 * Runs `command` with `args`, without a shell, and waits for it. `timeout` is in seconds. Never rejects.
 * The launch stage provides it: this stage starts no process by itself.
 */
export type RunTool = (
  command: string,
  args: readonly string[],
  options?: { readonly timeout?: number },
) => Promise<ToolResult>;
