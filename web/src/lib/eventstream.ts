/**
 * A parser of event streams (WHATWG HTML, section 9.2.6): text in, events out. It ignores `id`: every Hookcast stream
 * begins with the current states, so none is resumed.
 */

/**
 * Create a parser. `tell` receives the type and data of each event, and `retry` with the milliseconds of each
 * reconnection time. Returns a function that takes the next chunk of text, decoded and without a byte order mark (as
 * TextDecoder outputs it).
 */
export function createParser(tell: (type: string, data: string) => void): (chunk: string) => void {
  let rest = "";
  let afterCr = false;
  let type = "";
  let data: string[] = [];

  const take = (line: string) => {
    const [field, value = ""] = line.split(/: ?(.*)/s);
    if (!line) {
      if (data.length > 0) tell(type || "message", data.join("\n"));
      type = "";
      data = [];
    }
    if (field === "event") type = value;
    if (field === "data") data.push(value);
    if (field === "retry" && /^\d+$/.test(value)) tell(field, value);
  };
  return (chunk) => {
    const text = afterCr ? chunk.replace(/^\n/, "") : chunk;
    afterCr = text.endsWith("\r");
    const lines = text.split(/\r\n?|\n/);
    lines[0] = rest + lines[0];
    rest = lines.pop() ?? "";
    lines.forEach(take);
  };
}
