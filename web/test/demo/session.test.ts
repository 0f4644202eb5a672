import { describe, expect, it } from "vitest";
import { isToken, keepKey, recallKey } from "../../src/demo/session";

function box() {
  const values = new Map<string, string>();
  return {
    getItem: (name: string) => values.get(name) ?? null,
    setItem: (name: string, value: string) => void values.set(name, value),
  };
}

const full = {
  getItem: () => {
    throw new DOMException("SecurityError");
  },
  setItem: () => {
    throw new DOMException("QuotaExceededError");
  },
};

describe("the key of a tab", () => {
  it("is kept, and none at first", () => {
    const storage = box();
    expect(recallKey(storage)).toBeNull();
    keepKey(storage, "secret");
    expect(recallKey(storage)).toBe("secret");
  });

  it("is none where the storage is forbidden or full", () => {
    keepKey(full, "secret");
    expect(recallKey(full)).toBeNull();
  });

  it.each([
    ["eyJh.eyJz.c2ln", true],
    ["key-0123", false],
    [null, false],
  ])("%j is a token: %j", (key, expected) => {
    expect(isToken(key)).toBe(expected);
  });
});
