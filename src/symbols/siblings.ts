import { frameInCopy, type AddressSpace } from "./address-space.ts";
import type { UserFrame } from "./frame.ts";

const NAMES_MOST = 4096;
/** Address spaces kept of one name. */
const SPACES_MOST = 4;

/**
 * The memory of processes by their names, for one that ended before its maps were read. A process that forks has the memory of its parent, and
 * so that of its siblings; programs start at random addresses, so that code at the same address under the same name is no other program's.
 */
export class Siblings {
  /** Newest first. */
  readonly #spaces = new Map<string, AddressSpace[]>();

  remember(comm: string | null, space: AddressSpace | undefined): void {
    if (comm === null || space === undefined) return;
    const known = this.#spaces.get(comm) ?? [];
    if (known[0] === space || (known.length === 0 && this.#spaces.size >= NAMES_MOST)) return;
    const others = known.filter(({ identity }) => identity !== space.identity);
    this.#spaces.set(comm, [space, ...others].slice(0, SPACES_MOST));
  }

  frameAt(comm: string | null, address: number): UserFrame | null {
    for (const space of this.#spaces.get(comm ?? "") ?? []) {
      const frame = frameInCopy(space, address);
      if (frame !== null) return frame;
    }
    return null;
  }
}
