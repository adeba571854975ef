import { ByteText } from "../../files/byte-text.ts";
import { KERNEL_FILE } from "../read/frame-text.ts";
import type { Frame } from "../model.ts";
import { buildTree } from "../store/tree.ts";
import type { ProfileData, ProfileStore } from "../store/store.ts";

const NEWLINE = 10;
const SPACE = 32;
const SEMICOLON = 59;

/** Hands folded stacks to `write`: `root;caller;leaf 12`, equal stacks summed up, `_[k]` behind the kernel's frames. */
export function printFolded(
  store: ProfileStore,
  data: ProfileData,
  write: (chunk: Uint8Array) => void,
): void {
  const text = new ByteText(write);
  const names = createFoldedNames(store);
  const tree = buildTree(store, data);
  const ids = tree.table.ids.data;
  for (const [entry, stack] of tree.list.entries()) {
    const start = tree.table.start(stack);
    const depth = tree.table.depth(stack);
    for (let place = start; place < start + depth; place++) {
      if (place > start) text.byte(SEMICOLON);
      text.text(names(ids[place] ?? 0));
    }
    text.byte(SPACE);
    text.number(tree.weights[entry] ?? 0);
    text.byte(NEWLINE);
  }
  text.flush();
}

/** The folded name of each frame, made once. */
export function createFoldedNames(store: ProfileStore): (frame: number) => string {
  const names: string[] = [];
  return (frame) => {
    const name = names[frame] ?? nameFolded(store.frames.at(frame));
    names[frame] = name;
    return name;
  };
}

/** The format has no escapes: what would end the frame or the line is replaced. */
function nameFolded(frame: Frame): string {
  // oxlint-disable-next-line no-control-regex -- control characters are the point
  const name = frame.name.replaceAll(";", ":").replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
  return (name === "" ? "[no name]" : name) + (frame.file === KERNEL_FILE ? "_[k]" : "");
}
