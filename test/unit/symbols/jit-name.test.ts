import * as fc from "fast-check";
import { expect, it } from "vitest";
import { parseJitName } from "../../../src/symbols/jit-name.ts";

it.each([
  ["JS:*render /app/view.js:10:21", { name: "render", file: "/app/view.js", line: 10 }],
  ["JS:~render /app/view.js:10:21", { name: "render", file: "/app/view.js", line: 10 }],
  ["JS:*'render /app/view.js:10:21", { name: "render", file: "/app/view.js", line: 10 }],
  ["JS:^render /app/view.js:10:21", { name: "render", file: "/app/view.js", line: 10 }],
  ["JS:+render file:///app/my%20view.mjs:7:1", { name: "render", file: "/app/my view.mjs", line: 7 }],
  ["JS:*get size /app/my view.js:10:21", { name: "get size", file: "/app/my view.js", line: 10 }],
  ["JS:* /app/view.js:3:4", { name: "(anonymous)", file: "/app/view.js", line: 3 }],
  [
    "JS:~processTimers node:internal/timers:499:25",
    { name: "processTimers", file: "node:internal/timers", line: 499 },
  ],
  ["LazyCompile:*fold /app/old.js:12", { name: "fold", file: "/app/old.js", line: 12 }],
  ["LazyCompile:~fold native array.js:12", { name: "fold native", file: "array.js", line: 12 }],
  ["Script:~ /app/main.js:1:1", { name: "(anonymous)", file: "/app/main.js", line: 1 }],
  ["Function:~<anonymous>", { name: "<anonymous>" }],
  ["JS:*", { name: "(anonymous)" }],
  ["JS:*wasm-function[12]", { name: "wasm-function[12]" }],
  ["JS:*f file:///app/%zz.mjs:1:1", { name: "f", file: "/app/%zz.mjs", line: 1 }],
  ["Builtin:ArrayMap", { name: "Builtin:ArrayMap" }],
  ["py::Job.run:/srv/job.py", { name: "Job.run", file: "/srv/job.py" }],
  ["Lcom/shop/Cart;::total", { name: "com.shop.Cart::total" }],
  ["Lcom/shop/Cart;::total->Ljava/util/List;::get", { name: "com.shop.Cart::total->java.util.List::get" }],
  ["int com.shop.Cart.total()", { name: "int com.shop.Cart.total()" }],
  ["LLVM; not java", { name: "LLVM; not java" }],
  ["", { name: "" }],
])("takes %j apart", (text, wanted) => {
  expect(parseJitName(text)).toEqual(wanted);
});

it("never throws and is quick with any name", () => {
  const hostile = fc.constantFrom(
    "L".repeat(4096),
    "La/".repeat(1300),
    `JS:*${" :1".repeat(1300)}`,
    `JS:*${"/ ".repeat(2000)}:1:1`,
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        hostile,
        fc.string().map((text) => `JS:*${text}:1:2`),
      ),
      (text) => {
        const started = performance.now();
        expect(typeof parseJitName(text).name).toBe("string");
        expect(performance.now() - started).toBeLessThan(500);
      },
    ),
  );
});
