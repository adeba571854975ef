/** Builds a folder that looks like /proc, as far as symbols need it. */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface MadeMapping {
  readonly start: number;
  readonly size?: number;
  readonly perms?: string;
  readonly offset?: number;
  /** As the process sees it. A name in brackets or nothing for memory without a file. */
  readonly path?: string;
  /** Default: that of the file below the process' root, 0 where there is none. */
  readonly inode?: number;
}

export interface MadeProcess {
  readonly mappings: readonly MadeMapping[];
  /** Changes with exec, or with another process of the same pid. */
  readonly program?: number;
  readonly uid?: number;
  readonly innerPid?: number;
}

export class ProcFolder {
  readonly path = mkdtempSync(join(tmpdir(), "trace-proc-"));

  /** Writes (again) what the process looks like now. */
  write(pid: number, made: MadeProcess): void {
    const folder = join(this.path, String(pid));
    mkdirSync(join(folder, "root/tmp"), { recursive: true });
    const program = made.program ?? 1;
    const fields = `S ${"0 ".repeat(18)}${program} 0 0 0 ${program} 0 ${program} 0 0`;
    writeFileSync(join(folder, "stat"), `${pid} (made) ${fields}\n`);
    writeFileSync(
      join(folder, "status"),
      `Name:\tmade\nUid:\t${made.uid ?? 0}\t${made.uid ?? 0}\t0\t0\nNSpid:\t${pid}\t${made.innerPid ?? 1}\n`,
    );
    const lines = made.mappings.map((mapping) => this.#formatMapping(pid, mapping));
    writeFileSync(join(folder, "maps"), lines.join(""));
  }

  /** Path of a file below a process' root; its folders are made. */
  inRoot(pid: number, path: string): string {
    const whole = join(this.path, String(pid), "root", path);
    mkdirSync(dirname(whole), { recursive: true });
    return whole;
  }

  /** Puts one of the ELF fixtures into a process' root. */
  install(pid: number, fixture: string, path: string): void {
    const source = new URL(`../../../fixtures/symbols/${fixture}`, import.meta.url);
    copyFileSync(fileURLToPath(source), this.inRoot(pid, path));
  }

  end(pid: number): void {
    rmSync(join(this.path, String(pid)), { recursive: true });
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #formatMapping(pid: number, mapping: MadeMapping): string {
    const { start, size = 0x1000, perms = "r-xp", offset = 0, path = "" } = mapping;
    const isFile = path.startsWith("/") && !path.endsWith(" (deleted)");
    const inode = mapping.inode ?? (isFile ? statSync(this.inRoot(pid, path)).ino : 0);
    return `${formatHex(start)}-${formatHex(start + size)} ${perms} ${formatHex(offset)} fd:00 ${inode} ${path}\n`;
  }
}

function formatHex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
