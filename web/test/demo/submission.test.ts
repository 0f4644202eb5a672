import { describe, expect, it } from "vitest";
import { again, FAULTS, promptOf, submissionOf } from "../../src/demo/submission";
import { job } from "./fixtures";

const wish = (fault: string) => submissionOf({ prompt: "p", endpointId: "e", fault }, "k1");

describe("a submission", () => {
  it("asks for no fault unless one is chosen", () => {
    expect(wish("none").input).toEqual({ prompt: "p" });
    expect(wish("model_error").input).toEqual({ prompt: "p", _emulator: { faults: ["model_error"] } });
  });

  it("says how late a late webhook is", () => {
    expect(wish("webhook_late").input).toEqual({ prompt: "p", _emulator: { faults: ["webhook_late"], seconds: 5 } });
  });

  it("asks for the files of a result", () => {
    const { _emulator } = wish("files").input as { _emulator: { files: unknown[] } };
    expect(FAULTS.map(([name]) => name)).toContain("files");
    expect(_emulator.files).toHaveLength(4);
  });

  it("has the owner of the page's jobs, and what other tabs show", () => {
    expect(wish("none")).toMatchObject({ owner: "demo", metadata: { prompt: "p", run: "k1" } });
  });
});

describe("a job", () => {
  it("has the prompt of its page; one of another program is named by its model, or its id", () => {
    expect(promptOf(job({ metadata: { prompt: "a fox" } }))).toBe("a fox");
    expect(promptOf(job({ metadata: { prompt: 7 } }))).toBe("fal-ai/flux/dev");
    expect(promptOf(job({ endpointId: null }))).toBe("r1");
  });

  it("is made again without its fault, if its prompt is known", () => {
    const metadata = { prompt: "a fox" };
    expect(again(job({ metadata }))).toEqual({ prompt: "a fox", endpointId: "fal-ai/flux/dev", fault: "none" });
    expect(again(job())).toBeNull();
    expect(again(job({ metadata, endpointId: null }))).toBeNull();
  });
});
