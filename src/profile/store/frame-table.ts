import type { Frame } from "../model.ts";

/** Every different frame once: speedscope does not merge frames that are equal but listed twice. */
export class FrameTable {
  readonly list: Frame[] = [];
  readonly #byText = new Map<string, number>();
  readonly #byObject = new WeakMap<Frame, number>();

  /** The number of a frame; callers that hand in the same object again are served without looking at its text. */
  intern(frame: Frame): number {
    const known = this.#byObject.get(frame);
    if (known !== undefined) return known;
    const index = this.internText(frame.name, frame.file, frame.line);
    this.#byObject.set(frame, index);
    return index;
  }

  internText(name: string, file?: string, line?: number): number {
    // Lengths first: no text can imitate another frame's key.
    const key = `${name.length} ${name}${line ?? ""} ${file ?? ""}${file === undefined ? "-" : "+"}`;
    const known = this.#byText.get(key);
    if (known !== undefined) return known;
    const index = this.list.length;
    this.#byText.set(key, index);
    this.list.push({
      name,
      ...(file === undefined ? {} : { file }),
      ...(line === undefined ? {} : { line }),
    });
    return index;
  }

  at(index: number): Frame {
    return this.list[index] ?? { name: "[unknown frame]" };
  }
}
