import { describe, expect, it } from "vitest";
import { isActive, nextNumber, type Run, reduce, statusOf } from "../../src/demo/runs";
import { problemOf } from "../../src/demo/trouble";
import { HookcastError } from "../../src/lib/index.js";
import { job, run } from "./fixtures";

const problem = problemOf(new HookcastError("network", "No answer"), false);
const started = run({ requestId: null });
const only = (runs: readonly Run[]) => runs[0] as Run;

describe("a job on the page", () => {
  it("is submitted, refused, tried again and taken", () => {
    let runs = reduce([], { type: "started", run: started });
    expect(statusOf(only(runs))).toBe("submitting");
    runs = reduce(runs, { type: "rejected", id: "k1", problem });
    expect(statusOf(only(runs))).toBe("rejected");
    runs = reduce(runs, { type: "sent", id: "k1" });
    expect(statusOf(only(runs))).toBe("submitting");
    runs = reduce(runs, { type: "accepted", id: "k1", job: job() });
    expect(statusOf(only(runs))).toBe("pending");
    expect(isActive(only(runs))).toBe(true);
  });

  it("is on top of the older ones, and numbered after them", () => {
    const runs = reduce([run({ id: "k0", number: 4 })], { type: "started", run: started });
    expect(runs.map(({ id }) => id)).toEqual(["k1", "k0"]);
    expect([nextNumber(runs), nextNumber([])]).toEqual([5, 1]);
  });

  it("is the one of the server's list, if that is faster than the answer to the submission", () => {
    const listed = job({ metadata: { prompt: "a lighthouse", run: "k1" }, version: 2 });
    let runs = reduce([started], { type: "found", jobs: [listed] });
    expect([runs.length, only(runs).requestId, only(runs).seen.job?.version]).toEqual([1, "r1", 2]);
    runs = reduce(runs, { type: "accepted", id: "k1", job: job() });
    expect([runs.length, only(runs).seen.job?.version]).toEqual([1, 2]);
  });

  it("is shown once, also if the list has it under another run", () => {
    const runs = reduce([started], { type: "found", jobs: [job()] });
    expect(runs).toHaveLength(2);
    expect(reduce(runs, { type: "accepted", id: "k1", job: job() }).map(({ id }) => id)).toEqual(["r1"]);
  });
});

describe("the jobs of the server's list", () => {
  const at = (requestId: string, createdAt: string) => job({ requestId, createdAt });
  const two = [at("r2", "2026-11-23T10:00:02.000Z"), at("r1", "2026-11-23T10:00:01.000Z")];

  it("come newest first, the oldest is number 1, and later ones take their place by age", () => {
    let runs = reduce([], { type: "found", jobs: two });
    expect(runs.map(({ id, number }) => [id, number])).toEqual([
      ["r2", 2],
      ["r1", 1],
    ]);
    runs = reduce(runs, { type: "found", jobs: [...two, at("r0", "2026-11-23T10:00:00.000Z")] });
    expect(runs.map(({ id, number }) => [id, number])).toEqual([
      ["r2", 2],
      ["r1", 1],
      ["r0", 3],
    ]);
  });

  it("change nothing when all are there: their cards watch them", () => {
    const runs = reduce([], { type: "found", jobs: two });
    expect(reduce(runs, { type: "found", jobs: two.map((job) => ({ ...job, version: 2 })) })).toBe(runs);
  });
});
