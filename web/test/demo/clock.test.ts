import { describe, expect, it, vi } from "vitest";
import { compare, createClock } from "../../src/demo/clock";
import { lagOf } from "../../src/demo/lag";

const SERVER = Date.parse("2026-11-23T10:00:00.000Z");

describe("two clocks", () => {
  it("are compared by the quickest round trip, in the middle of it", () => {
    const sample = compare([
      { sent: 100, received: 140, server: SERVER + 139 },
      { sent: 200, received: 204, server: SERVER + 202 },
    ]);
    expect(sample).toEqual({ offset: SERVER, error: 3 });
    expect(compare([])).toBeNull();
  });

  /** A server that answers after 4 ms by our clock, which the test moves. */
  function world(dated = true) {
    let time = 0;
    const request = vi.fn(async () => {
      time += 4;
      return Response.json(dated ? { now: new Date(SERVER + time - 2).toISOString() } : { status: "ok" });
    });
    const pass = (ms: number) => {
      time += ms;
    };
    return { request, clock: createClock(request, () => time), pass };
  }

  it("give the server's time once they were compared, and this machine's before", async () => {
    const { clock } = world();
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(60_000);
    await clock.sample();
    expect(clock.now()).toBe(SERVER + 20);
  });

  it("are compared again when the last time was a while ago, and once for all who ask together", async () => {
    const { clock, pass, request } = world();
    await Promise.all([clock.sample(), clock.sample()]);
    await clock.sample();
    expect(request).toHaveBeenCalledTimes(5);
    pass(60_000);
    await clock.sample();
    expect(request).toHaveBeenCalledTimes(10);
  });

  it("are not compared by an answer without a time, as an older server gives", async () => {
    const { clock } = world(false);
    expect(await clock.sample()).toBeNull();
  });

  it("count what was measured before the server went away", async () => {
    const { request, clock } = world();
    const answer = clock.sample();
    request.mockRejectedValueOnce(new TypeError("network"));
    expect(await answer).toEqual({ offset: SERVER, error: 3 });
    expect(request).toHaveBeenCalledTimes(2);
  });
});

describe("webhook to page", () => {
  const sample = { offset: SERVER, error: 2 };
  const webhookAt = "2026-11-23T10:00:05.000Z";

  it("is the time from one arriving to the other, by the server's clock", () => {
    const arrival = { webhookAt, arrivedAt: 5_012, openSince: 3_000 };
    expect(lagOf(arrival, sample)).toEqual({ kind: "measured", ms: 12, error: 2 });
  });

  it("is never negative: within the error it is nothing, beyond it the clocks are wrong", () => {
    expect(lagOf({ webhookAt, arrivedAt: 4_999, openSince: 0 }, sample)).toMatchObject({ kind: "measured", ms: 0 });
    expect(lagOf({ webhookAt, arrivedAt: 4_990, openSince: 0 }, sample)).toEqual({ kind: "unknown" });
  });

  it("says nothing when the connection is younger than the outcome, as after a reload", () => {
    expect(lagOf({ webhookAt, arrivedAt: 9_000, openSince: 8_999 }, sample)).toEqual({ kind: "late" });
    expect(lagOf({ webhookAt, arrivedAt: 9_000, openSince: null }, sample)).toEqual({ kind: "late" });
  });

  it("says nothing without a comparison, or without a time of the outcome", () => {
    expect(lagOf({ webhookAt, arrivedAt: 1, openSince: 0 }, null)).toEqual({ kind: "unknown" });
    expect(lagOf({ webhookAt: "", arrivedAt: 1, openSince: 0 }, sample)).toEqual({ kind: "unknown" });
  });
});
