import { describe, expect, it } from "vitest";
import { drop, keep, keepKey, recall, recallKey } from "../../src/demo/session";

function box(first: string | null = null) {
  const values = new Map<string, string>();
  return {
    getItem: (name: string) => values.get(name) ?? first,
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

describe("the jobs of a tab", () => {
  it("come back newest first, each once, and at most twelve", () => {
    const storage = box();
    for (let index = 0; index < 15; index += 1) keep(storage, { requestId: `r${index}`, prompt: "p" });
    keep(storage, { requestId: "r10", prompt: "p" });
    expect(recall(storage)).toHaveLength(12);
    expect(recall(storage)[0]).toEqual({ requestId: "r10", prompt: "p" });
    drop(storage, "r10");
    expect(recall(storage)[0]?.requestId).toBe("r14");
  });

  it.each(["", "{", "{}", "[7]", '[{"requestId":"r"}]'])("are none when the storage holds %j", (text) => {
    expect(recall(box(text))).toEqual([]);
  });

  it("are none where the storage is forbidden or full", () => {
    keep(full, { requestId: "r", prompt: "p" });
    expect(recall(full)).toEqual([]);
  });
});

describe("the key of a tab", () => {
  it("is kept beside the jobs", () => {
    const storage = box();
    expect(recallKey(storage)).toBeNull();
    keep(storage, { requestId: "r", prompt: "p" });
    keepKey(storage, "secret");
    expect(recallKey(storage)).toBe("secret");
    expect(recall(storage)).toHaveLength(1);
  });
});
