import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createContext, Script } from "node:vm";

/** Gives the source name of a C++ or Rust symbol; any other name, and one that cannot be read, comes back as it is. */
export type Demangle = (name: string) => string;

/** The part of WebAssembly that is used. TypeScript has its types only together with those of a browser. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: Exports };
};

/** What gecko-profiler-demangle's WebAssembly file exports, with the names that wasm-bindgen gave. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly __wbindgen_malloc: (size: number, align: number) => number;
  readonly __wbindgen_free: (pointer: number, size: number, align: number) => void;
  readonly __wbindgen_start: () => void;
  readonly demangle_any: (pointer: number, size: number) => [pointer: number, size: number];
}

const MANGLED = /^_(?:Z|R[A-Z0-9])/;
const NAME_CHARACTERS = 4096;
const RESULT_BYTES = 65_536;
// Back references (S_, T0_, B5_) let a short name stand for an endless one. With up to 24 of them the result stays below
// 3^8 times the name; in Node's own 140,000 C++ symbols 8 have more. Those run under a clock, which costs 0.15 ms.
const BACK_REFERENCE = /[STB][0-9A-Za-z]{0,8}_/g;
const BACK_REFERENCES_FREE = 24;
const GUARDED_MILLISECONDS = 50;
// A file full of such names costs one second, not one each time.
const FAILURES_MOST = 20;

/**
 * Loads the demangler (0.5 MB of WebAssembly: cpp_demangle and rustc-demangle as the Firefox Profiler uses them; about 5 ms).
 *
 * The package's own JavaScript is not used: it keeps its state in a module and so cannot start again after a failure, and
 * importing WebAssembly needs a flag in Node 22 and warns in 24.
 */
export function createDemangler(): Demangle {
  const path = createRequire(import.meta.url).resolve("gecko-profiler-demangle/index_bg.wasm");
  const code = new WebAssembly.Module(readFileSync(path));
  let demangler = start(code);
  const call = { name: "", run: (name: string): string => callDemangler(demangler, name) };
  const context = createContext(call);
  const guarded = new Script("run(name)");
  let failures = 0;
  return (name) => {
    if (!MANGLED.test(name) || name.length > NAME_CHARACTERS) return name;
    try {
      if ((name.match(BACK_REFERENCE)?.length ?? 0) <= BACK_REFERENCES_FREE) return call.run(name);
      if (failures >= FAILURES_MOST) return name;
      call.name = name;
      const result: unknown = guarded.runInContext(context, { timeout: GUARDED_MILLISECONDS });
      return typeof result === "string" ? result : name;
    } catch {
      // It ran out of time or memory: what it left behind is not to be used again.
      failures++;
      demangler = start(code);
      return name;
    }
  };
}

function start(code: object): Exports {
  // The glue would fill a table of JavaScript values here. Only strings are passed, which need none.
  const imports = { "./index_bg.js": { __wbindgen_init_externref_table: (): void => undefined } };
  const { exports } = new WebAssembly.Instance(code, imports);
  const { __wbindgen_start: initialise } = exports;
  initialise();
  return exports;
}

function callDemangler(demangler: Exports, name: string): string {
  const { memory, __wbindgen_malloc: allocate, __wbindgen_free: free, demangle_any: demangle } = demangler;
  const bytes = Buffer.from(name, "utf8");
  const input = allocate(bytes.length, 1) >>> 0;
  new Uint8Array(memory.buffer).set(bytes, input);
  // The callee takes the input over; the result is ours to free.
  const [pointer, size] = demangle(input, bytes.length);
  const output = pointer >>> 0;
  const text = size > RESULT_BYTES ? null : Buffer.from(memory.buffer, output, size).toString("utf8");
  free(output, size, 1);
  // What it cannot read it gives back without the first underscore.
  return text === null || text === name.slice(1) ? name : tidyCpp(text);
}

/** Habits of cpp_demangle that other tools do not have: empty packs leave `<int, >` and `(int, &&)`, and `> >` is C++98. */
function tidyCpp(text: string): string {
  return text
    .replaceAll(", >", ">")
    .replaceAll("> >", ">>")
    .replaceAll(/(?:, &&?|(?<=\()&&?)(?=[,)])/g, "");
}
