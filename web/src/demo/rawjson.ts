/** JSON as text: `JSON.parse` rounds integers beyond 2^53, so members are cut out and re-indented without parsing. */

/** Return the index just past the string literal that starts at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') {
    at += text[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

/** Return the index just past the value that starts at `start`: that of the following comma or bracket. */
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

/** Return the verbatim value of one member of the object in `text`; null if there is none. */
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

/** Indent `raw` by two spaces, leaving numbers and strings untouched; truncate it after 40,000 characters. */
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
