/** A name from a perf map, taken apart. */
export interface JitName {
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
}

// `JS:*render /app/view.js:10:21`, V8 with --perf-basic-prof. The mark before the name says how it was compiled
// (~ interpreted, ^ Sparkplug, + Maglev, * TurboFan, ' for one context only): the same function all the same, so it is dropped.
const V8 = /^(?:JS|LazyCompile|Function|Script|Eval|Module):[~^+*]?'?(.*)$/s;
// `name file:line:column`; before Node 12 without the column.
const LINE = /:(\d{1,9})(?::\d{1,9})?$/;
// Where the file starts: names can hold spaces (`get size`), and so can files.
const FILE = /(?:^|\s)(?=\/|file:|node:|[a-z][\w+.-]{0,30}:\/\/)/;
// `py::fold:/app/job.py`, CPython 3.12 and later with -X perf.
const PYTHON = /^py::(.*?):(.+)$/s;
// `Lcom/shop/Cart;::total`, perf-map-agent; several with `->` between them where calls were inlined.
const JAVA = /(?<![\w$/])L((?:[\w$]+\/)*[\w$]+);(?=::|\.|->)/g;

/** Makes a JIT compiler's name readable: what stands in it of file and line becomes file and line. */
export function parseJitName(text: string): JitName {
  const v8 = V8.exec(text);
  if (v8 !== null) return parseV8Name(v8[1]!);
  const python = PYTHON.exec(text);
  if (python !== null) return { name: python[1]!, file: python[2]! };
  if (text.includes(";")) return { name: text.replace(JAVA, (_, path: string) => path.replaceAll("/", ".")) };
  return { name: text };
}

function parseV8Name(text: string): JitName {
  const place = splitPlace(text);
  if (place === null) return { name: text.trim() === "" ? "(anonymous)" : text.trim() };
  const name = place.name === "" ? "(anonymous)" : place.name;
  return { name, file: tidyPath(place.file), line: place.line };
}

function splitPlace(text: string): { name: string; file: string; line: number } | null {
  const line = LINE.exec(text);
  if (line === null) return null;
  const rest = text.slice(0, line.index);
  const start = FILE.exec(rest)?.index ?? rest.lastIndexOf(" ");
  const file = start === -1 ? rest : rest.slice(start);
  return file.trim() === ""
    ? null
    : { name: rest.slice(0, Math.max(start, 0)).trim(), file: file.trim(), line: Number(line[1]) };
}

/** `file:///app/a%20b.mjs` is what modules are called; a path is what people know. */
function tidyPath(file: string): string {
  if (!file.startsWith("file:///")) return file;
  try {
    return decodeURIComponent(file.slice("file://".length));
  } catch {
    return file.slice("file://".length);
  }
}
