import * as fc from "fast-check";

/** Any text: control characters, quotes and digits often, and half surrogate pairs. (`unit: "binary"` takes two seconds to set up.) */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary-ascii", maxLength: 200 }),
  fc.uint16Array({ maxLength: 100 }).map((codes) => String.fromCharCode(...codes)),
);
