import { describe, expect, it } from "vitest";
import { pretty, rawMember } from "../../src/demo/rawjson";

describe("JSON kept as text", () => {
  it("shows integers beyond 2^53 with every digit", () => {
    const raw = rawMember('{"a":1,"result":{"seed":9007199254740993123},"z":2}', "result");
    expect(raw).toBe('{"seed":9007199254740993123}');
    expect(pretty(raw ?? "")).toBe('{\n  "seed": 9007199254740993123\n}');
  });

  it("is not misled by brackets, quotes and member names inside strings", () => {
    const text = '{"note":"\\"result\\": {[,","in":{"result":0},"result":"a}b"}';
    expect(rawMember(text, "result")).toBe('"a}b"');
  });

  it("has nothing to show for a member that is not there or a text that is no object", () => {
    for (const text of ["", "[]", "{}", "{", '{"a', '{"a"', '{"a":1}']) expect(rawMember(text, "result")).toBeNull();
  });

  it("indents as JSON.stringify does", () => {
    const value = { a: [1, { b: "x: {y}, \\" }], c: null, d: [], e: {} };
    expect(pretty(JSON.stringify(value))).toBe(JSON.stringify(value, null, 2));
  });

  it("cuts off a very long text and says how much is left", () => {
    const shown = pretty(JSON.stringify({ text: "x".repeat(100_000) }));
    expect(shown.length).toBeLessThan(41_000);
    expect(shown).toMatch(/more characters$/);
  });
});
