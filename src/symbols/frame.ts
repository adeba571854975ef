/** One frame of a user stack, as an operator can read it. `name` and `file` can hold any text: they come from the traced system. */
export interface UserFrame {
  /** Function, or what is known of the place: `[libz.so.1]+0x1a2b`, `[jit]`, `[stack]`, `[unknown]`. Never a bare address. */
  readonly name: string;
  /** Last part of the file's path, or `[vdso]`, `[anon]`, `[heap]`, `[unknown]`, …; `[jit]` for a compiler's code. */
  readonly module: string;
  /** Source file, where the name said it (JIT compilers). */
  readonly file?: string;
  readonly line?: number;
  /**
   * `symbol`: named by a symbol table. `jit`: named by a perf map. `function`: in a known file, in a function without a symbol, by its first
   * address. `module-offset`: in a known file, at an address of which nothing more is known. `unknown`: not in code, or in no
   * mapping that was seen.
   */
  readonly kind: "symbol" | "jit" | "function" | "module-offset" | "unknown";
}

/** A frame of which only the place in a module is known, or the function's. `address` is relative to the module. */
export function frameAtOffset(
  module: string,
  address: number,
  kind: "function" | "module-offset" = "module-offset",
): UserFrame {
  return { name: `[${stripBrackets(module)}]+0x${address.toString(16)}`, module, kind };
}

export function unknownFrame(module: string): UserFrame {
  return { name: `[${stripBrackets(module)}]`, module, kind: "unknown" };
}

/** In memory that may hold code of a JIT compiler, without a perf map. */
export const JIT_FRAME: UserFrame = { name: "[jit]", module: "[anon]", kind: "unknown" };

/** `[vdso]` has its brackets already. */
function stripBrackets(module: string): string {
  return module.startsWith("[") && module.endsWith("]") ? module.slice(1, -1) : module;
}
