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

const blocked = () => {
  throw new DOMException("SecurityError");
};

describe("the key of a tab", () => {
  it("is kept, and none at first", () => {
    const storage = box();
    const open = () => storage;
    expect(recallKey(open)).toBeNull();
    keepKey("secret", open);
    expect(recallKey(open)).toBe("secret");
  });

  it.each([
    ["full", () => full],
    ["blocked, which throws when it is only looked at", blocked],
  ])("is none where the storage is %s", (_, open) => {
    keepKey("secret", open);
    expect(recallKey(open)).toBeNull();
  });

  it.each([
    ["eyJh.eyJz.c2ln", true],
    ["key-0123", false],
    [null, false],
  ])("%j is a token: %j", (key, expected) => {
    expect(isToken(key)).toBe(expected);
  });
});
