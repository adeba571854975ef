import { expect, test } from "vitest";
import { READY_LINE, withReadySignal } from "../../../src/session/ready.ts";

const START = "tracepoint:a:b\n{\n  @n = count();\n}\n";

test("maps that every interval prints are printed just before the signal", () => {
  const text = withReadySignal(`${START}\ninterval:ms:1000\n{\n  print(@n);\n  print(@m);\n}\n`);
  const ready = text.slice(text.indexOf("interval:ms:50"));
  expect(ready).toContain(
    `    print(@n);\n    print(@m);\n    printf("${JSON.stringify(READY_LINE).slice(1, -1)}");`,
  );
  expect(text.split("print(@n);")).toHaveLength(3);
});

test("nothing else is printed early: what is cleared, what ends with END", () => {
  for (const end of [
    "\ninterval:s:1\n{\n  print(@n);\n  clear(@n);\n}\n",
    "\ninterval:s:1\n{\n  print(@n);\n}\n\nEND\n{\n  clear(@n);\n}\n",
    "",
  ]) {
    const text = withReadySignal(START + end);
    expect(text.slice(text.indexOf("interval:ms:50"))).not.toContain("print(@");
    expect(text).toContain("trace:ready");
  }
});
