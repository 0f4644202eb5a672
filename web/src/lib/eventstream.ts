/**
 * A parser of event streams (WHATWG HTML, section 9.2.6): text in, events out. Ids are left out: each of Hookcast's
 * streams begins with the present states, so none is resumed.
 */

/**
 * `tell` gets each event with its type and its data, and `retry` with the milliseconds when the stream names a
 * reconnection time. Answers what takes the next piece of text, decoded and without a byte order mark, as TextDecoder
 * makes it.
 */
export function createParser(tell: (type: string, data: string) => void): (chunk: string) => void {
  let rest = "";
  let afterCr = false;
  let type = "";
  let data: string[] = [];

  const take = (line: string) => {
    const [field, value = ""] = line.split(/: ?(.*)/s);
    if (line === "") {
      if (data.length > 0) tell(type || "message", data.join("\n"));
      type = "";
      data = [];
    }
    if (field === "data") data.push(value);
    if (field === "event") type = value;
    if (field === "retry" && /^\d+$/.test(value)) tell(field, value);
  };
  return (chunk) => {
    const text = afterCr ? chunk.replace(/^\n/, "") : chunk;
    afterCr = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = rest + lines[0];
    rest = lines.pop() ?? "";
    lines.forEach(take);
  };
}
