/**
 * A parser of event streams (WHATWG HTML, section 9.2.6): text in, events out. Ids are left out: each of Hookcast's
 * streams begins with the present states, so none is resumed.
 */

export interface EventStreamParser {
  /** Take the next piece of text, decoded and without a byte order mark, as TextDecoder makes it. */
  push(chunk: string): void;
  /** The reconnection time in milliseconds, once the stream has named one. */
  retry(): number | undefined;
}

/** `tell` gets each event with its type and its data. */
export function createParser(tell: (type: string, data: string) => void): EventStreamParser {
  let rest = "";
  let afterCr = false;
  let type = "";
  let data: string[] = [];
  let retry: number | undefined;

  const dispatch = () => {
    if (data.length > 0) tell(type || "message", data.join("\n"));
    type = "";
    data = [];
  };
  const take = (line: string) => {
    if (line === "") return dispatch();
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "data") data.push(value);
    if (field === "event") type = value;
    if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
  };
  return {
    push: (chunk) => {
      const text = afterCr && chunk.startsWith("\n") ? chunk.slice(1) : chunk;
      if (chunk !== "") afterCr = text.endsWith("\r");
      const lines = text.split(/\r\n|\r|\n/);
      lines[0] = rest + lines[0];
      rest = lines.pop() ?? "";
      lines.forEach(take);
    },
    retry: () => retry,
  };
}
