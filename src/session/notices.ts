import type { NoticeLevel } from "../probe/define.ts";

export interface Notice {
  readonly level: NoticeLevel;
  readonly code: string;
  readonly message: string;
  readonly count: number;
}

/** More kinds than this are counted together: hostile output must not fill the memory. */
const MAX_KINDS = 200;

/** Counts equal notices; `take()` gives what came since the last call, in order of first appearance. */
export function createNotices(): { add(notice: Notice): void; take(): Notice[]; all(): Notice[] } {
  let fresh = new Map<string, Notice>();
  const total = new Map<string, Notice>();
  const count = (map: Map<string, Notice>, notice: Notice) => {
    let key = `${notice.code}\0${notice.message}`;
    let entry = notice;
    if (!map.has(key) && map.size >= MAX_KINDS) {
      key = notice.code;
      entry = { ...notice, message: `more notices of the kind "${notice.code}"` };
    }
    const before = map.get(key);
    map.set(key, before === undefined ? entry : { ...before, count: before.count + notice.count });
  };
  return {
    add(notice) {
      count(fresh, notice);
      count(total, notice);
    },
    take() {
      const taken = [...fresh.values()];
      fresh = new Map();
      return taken;
    },
    all: () => [...total.values()],
  };
}
