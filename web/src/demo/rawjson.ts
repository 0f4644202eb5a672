/** JSON kept as text: `JSON.parse` would round integers beyond 2^53, so what we display is cut out and re-indented. */

/** The index just past the string literal that starts at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') {
    at += text[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

/** The index just past the value that starts at `start`, at the comma or bracket that follows it. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === '"') {
      at = stringEnd(text, at);
      continue;
    }
    if (depth === 0 && ",}]".includes(char)) return at;
    if ("{[".includes(char)) depth += 1;
    if ("}]".includes(char)) depth -= 1;
    at += 1;
  }
  return at;
}

/** The text of one member of the object in `text`, exactly as it was written; null when there is none. */
export function rawMember(text: string, name: string): string | null {
  let at = text.indexOf("{") + 1;
  while (at > 0 && at < text.length) {
    const keyStart = text.indexOf('"', at);
    if (keyStart < 0) return null;
    const keyEnd = stringEnd(text, keyStart);
    const start = text.indexOf(":", keyEnd) + 1;
    if (start === 0) return null;
    const end = valueEnd(text, start);
    if (text.slice(keyStart + 1, keyEnd - 1) === name) return text.slice(start, end).trim();
    if (text[end] !== ",") return null;
    at = end + 1;
  }
  return null;
}

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"?|[{}[\],:]|[^\s{}[\],:"]+/g;
const SHOWN_CHARACTERS = 40_000;

/** `raw` indented by two spaces, its numbers and strings untouched, and cut off when it is very long. */
export function pretty(raw: string): string {
  const shown = raw.slice(0, SHOWN_CHARACTERS);
  const rest = raw.length - shown.length;
  const text = indent(shown.match(TOKEN) ?? []);
  return rest > 0 ? `${text}\n… ${rest.toLocaleString("en")} more characters` : text;
}

function indent(tokens: readonly string[]): string {
  let depth = 0;
  let previous = "";
  const parts: string[] = [];
  for (const token of tokens) {
    const opened = previous === "{" || previous === "[";
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    if (opened !== closes || previous === ",") parts.push(`\n${"  ".repeat(Math.max(depth, 0))}`);
    parts.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth += 1;
    previous = token;
  }
  return parts.join("").trim();
}
