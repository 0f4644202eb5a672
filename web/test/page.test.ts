import { describe, expect, it } from "vitest";
import { linksOf } from "../src/api";
import { drop, type Kept, keep, recall } from "../src/session";
import { curlLine, phaseWords, positionWords, stageOf } from "../src/words";
import { job } from "./fixtures";

function box(first: string | null = null) {
  let value = first;
  return {
    getItem: () => value,
    setItem: (_key: string, next: string) => {
      value = next;
    },
  };
}

const kept = (requestId: string): Kept => ({ requestId, token: null, links: linksOf(requestId), prompt: "p" });

describe("the jobs of a tab", () => {
  it("come back newest first, each once, and at most twelve", () => {
    const storage = box();
    for (let index = 0; index < 15; index += 1) keep(storage, kept(`r${index}`));
    keep(storage, kept("r10"));
    expect(recall(storage).map((entry) => entry.requestId)).toHaveLength(12);
    expect(recall(storage)[0]?.requestId).toBe("r10");
    drop(storage, "r10");
    expect(recall(storage)[0]?.requestId).toBe("r14");
  });

  it.each(["", "{", "{}", "[7]", '[{"requestId":"r"}]'])("are none when the storage holds %j", (text) => {
    expect(recall(box(text))).toEqual([]);
  });
});

describe("the words on a card", () => {
  it("give the position only while the job is queued", () => {
    const progress = { ...job().progress, queuePosition: 2 };
    expect(positionWords(job({ progress }))).toBe("position 2 in the queue");
    expect(positionWords(job({ progress: { ...progress, queuePosition: 0 } }))).toBe("next in the queue");
    expect(positionWords(job({ progress: { ...progress, phase: "running" } }))).toBeNull();
    expect(positionWords(job({ progress, status: "cancelled" }))).toBeNull();
  });

  it("name the end rather than the phase once the job has ended", () => {
    expect(phaseWords(job())).toBe("Queued");
    expect(phaseWords(job({ status: "failed" }))).toBe("Failed");
    expect(stageOf(job({ status: "completed" }))).toBe("done");
  });

  it("quote the address in the curl line", () => {
    expect(curlLine("http://h", "/a'b")).toBe("curl -N 'http://h/a%27b'");
  });
});
