import { execa } from "execa";

/**
 * Opens a URL in the desktop's browser; false where there is no desktop or it refused. The browser is a process of its own: it stays when
 * we end.
 */
export async function openBrowser(url: string): Promise<boolean> {
  const hasDesktop = (process.env["DISPLAY"] ?? "") !== "" || (process.env["WAYLAND_DISPLAY"] ?? "") !== "";
  if (!hasDesktop) return false;
  const result = await execa("xdg-open", [url], {
    detached: true,
    stdio: "ignore",
    cleanup: false,
    reject: false,
  });
  return result.exitCode === 0;
}
