import { describe, expect, it } from "vitest";
import { isActive, nextNumber, type Run, reduce, statusOf, transportOf } from "../../src/demo/runs";
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
    runs = reduce(runs, { type: "accepted", id: "k1", requestId: "r1", job: job() });
    expect(statusOf(only(runs))).toBe("pending");
    expect(isActive(only(runs))).toBe(true);
  });

  it("is on top of the older ones, and numbered after them", () => {
    const runs = reduce([run({ id: "k0", number: 4 })], { type: "started", run: started });
    expect(runs.map(({ id }) => id)).toEqual(["k1", "k0"]);
    expect([nextNumber(runs), nextNumber([])]).toEqual([5, 1]);
  });

  it("is removed when the server does not know it any more", () => {
    expect(reduce([run()], { type: "gone", id: "k1" })).toEqual([]);
  });
});

it("the transport is that of a job which is waited for, and none when nothing is", () => {
  const seen = { job: job(), transport: "sse", lag: null } as const;
  const ended = run({ seen: { ...seen, job: job({ status: "completed" }), transport: "websocket" } });
  expect(transportOf([ended, run({ id: "k2", seen })])).toBe("sse");
  expect(transportOf([ended, run({ requestId: null })])).toBeNull();
});
