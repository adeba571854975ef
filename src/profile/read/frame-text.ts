import type { Frame } from "../model.ts";

/** The `file` of a kernel frame: speedscope colours by it. */
export const KERNEL_FILE = "[kernel]";

/** What one line of a stack says about itself. `kernel` is null where it does not tell. */
export interface FrameText {
  readonly frame: Frame;
  readonly kernel: boolean | null;
}

/**
 * Reads one frame as bpftrace or perf print it, without its indentation: `symbol+12`, `ffffffff8101 symbol+0x1f (module)`,
 * `7f12ab symbol (module)`, a bare address. Offsets go: the same function is one frame. Anything else is a name.
 */
export function parseFrameText(text: string): FrameText {
  const spaced = /^([0-9a-f]{1,16}) (.*)$/s.exec(text);
  if (spaced !== null) return parseAddressed(spaced[1] ?? "", spaced[2] ?? "");
  const glued = splitGluedAddress(text);
  if (glued !== null) return parseAddressed(glued.address, glued.rest);
  if (/^[0-9a-f]{9,16}$/.test(text)) return parseAddressed(text, "");
  const name = stripOffset(text);
  return { frame: { name }, kernel: judgeName(name) };
}

/** Kernel addresses fill 64 bits from the top; user addresses never do, on any of Linux' 64-bit machines. */
export function isKernelAddress(address: string): boolean {
  return address.length === 16 && address.startsWith("ffff");
}

/** `symbol+12`, `symbol+0x1f` → `symbol`. */
export function stripOffset(name: string): string {
  return name.replace(/\+(?:0x[0-9a-f]+|\d+)$/, "");
}

function parseAddressed(address: string, rest: string): FrameText {
  const { symbol, module } = splitModule(rest);
  const kernel = isKernelAddress(address);
  const known = module === null || module === "[unknown]" ? null : module;
  return { frame: nameFrame(stripOffset(symbol), address, known, kernel), kernel };
}

function nameFrame(symbol: string, address: string, module: string | null, kernel: boolean): Frame {
  const file = kernel ? KERNEL_FILE : module;
  const unknown = symbol === "" || symbol === "[unknown]";
  // Without a symbol the module is the best name there is; its functions become one frame.
  const name = unknown ? (module === null ? `0x${address}` : `[${baseName(module)}]`) : symbol;
  return file === null ? { name } : { name, file };
}

/**
 * Splits `symbol (module)`. The module is the last group in parentheses, counted from the end because both a C++
 * symbol and a module like `/memfd:jit (deleted)` hold parentheses of their own.
 */
export function splitModule(text: string): { symbol: string; module: string | null } {
  if (!text.endsWith(")")) return { symbol: text.trimEnd(), module: null };
  let open = 0;
  for (let place = text.length - 1; place >= 0; place--) {
    if (text[place] === ")") open += 1;
    if (text[place] === "(") open -= 1;
    if (open > 0) continue;
    return { symbol: text.slice(0, place).trimEnd(), module: text.slice(place + 1, -1) };
  }
  return { symbol: text, module: null };
}

function baseName(module: string): string {
  const name = module.replace(/^\[(.*)\]$/s, "$1");
  return name.slice(name.lastIndexOf("/") + 1);
}

/**
 * bpftrace 0.24 and later delete every space from JSON keys: `7fe561f58ba7PyObject_Call+55(/usr/lib/libpython.so)`. No name
 * begins with a digit, and none with a whole kernel address: what is that long and looks like an address is one.
 */
function splitGluedAddress(text: string): { address: string; rest: string } | null {
  const match = /^(ffff[0-9a-f]{12}|[57][0-9a-f]{11}|(?:aaaa|ffff)[0-9a-f]{8}(?![0-9a-f]))(.+)$/s.exec(text);
  return match === null ? null : { address: match[1] ?? "", rest: match[2] ?? "" };
}

/**
 * Names at the root of a stack that give away whose stack it is. Everything the kernel runs begins in one of a few
 * entry points; a bare address is always a user's, because the kernel knows its own symbols.
 */
function judgeName(name: string): boolean | null {
  if (KERNEL_ROOTS.test(name)) return true;
  if (USER_ROOTS.test(name)) return false;
  return null;
}

const KERNEL_ROOTS =
  /^(?:entry_SYSCALL_|entry_SYSENTER|entry_INT80|do_syscall_64$|syscall_return_via|asm_(?:sysvec|exc|common)_|ret_from_fork|__?ret_from_fork|secondary_startup|common_startup_64|x86_64_start|start_secondary|cpu_startup_entry|kthread$|el[01]t?_?(?:64|32|h|t|sync|irq|svc)|ret_to_user|call_cpuidle|__switch_to_asm|__(?:x64|ia32|arm64|do|se)_sys_|(?:do_)?exc_page_fault$|handle_mm_fault$|__schedule$)/;
const USER_ROOTS = /^(?:0x[0-9a-f]+$|_start$|__libc_start|__clone3?$|clone3?$|start_thread$|main$)/;
