const NAMED: Record<string, string | undefined> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Text as it can stand in XML and HTML, in an element or an attribute. Characters that XML forbids (control characters, lone
 * surrogates) and those that turn text around become visible: names come from traced programs.
 */
export function escapeMarkup(text: string): string {
  return (
    text
      // oxlint-disable-next-line no-control-regex -- control characters are the point
      .replaceAll(
        /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/g,
        showCode,
      )
      .replaceAll(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
      .replaceAll(/[&<>"']/g, (character) => NAMED[character] ?? "")
  );
}

function showCode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
