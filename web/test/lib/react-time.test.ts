// @vitest-environment happy-dom

import { act } from "react";
import { describe, expect, it, vi } from "vitest";
import { ASK_MS } from "../../src/lib/http.js";
import { TICK_MS } from "../../src/lib/patience.js";
import { found, live, mounting, show, state, world } from "./mounting.js";
import { fakeTime, job, json, pass, recorder } from "./world.js";

fakeTime();
mounting();

describe("the time of useFalJob", () => {
  it("is a timeout after maxPollTime, and listens no longer", async () => {
    await live({ maxPollTime: 20_000 });
    await act(() => pass(19_999));
    expect(found).toMatchObject({ isPolling: true, error: null });
    await act(() => pass(100));
    expect(found).toMatchObject({ isPending: true, isPolling: false, error: { code: "timeout" } });
    expect(world.socket.readyState).toBe(3);
  });

  it("asks the server once more before it is a timeout", async () => {
    const { seen, handlers } = recorder();
    await live({ ...handlers, maxPollTime: 20_000 });
    world.answer = () => json(job("a", { version: 2, status: "completed" }));
    await act(() => pass(20_000));
    expect(found).toMatchObject({ isCompleted: true, isPolling: false, error: null });
    expect(seen).toEqual(["completed a 2"]);
  });

  it("is a timeout when the server does not answer that question either", async () => {
    await live({ maxPollTime: 20_000 });
    world.answer = () => null;
    await act(() => pass(20_000));
    expect(found).toMatchObject({ isPolling: true, error: null });
    await act(() => pass(ASK_MS));
    expect(found).toMatchObject({ isPending: true, isPolling: false, error: { code: "timeout" } });
  });

  it.each([3_000, 20_000])("does not count the time asleep towards a maxPollTime of %d", async (maxPollTime) => {
    await live({ maxPollTime });
    await act(() => pass(1_000));
    vi.setSystemTime(Date.now() + 3_600_000);
    await act(() => pass(maxPollTime - 1_000));
    expect(found).toMatchObject({ isPolling: true, error: null });
    await act(() => pass(TICK_MS));
    expect(found).toMatchObject({ isPolling: false, error: { code: "timeout" } });
  });

  it("has the rest of maxPollTime when it is watched with other options", async () => {
    await live({ maxPollTime: 20_000 });
    await act(() => pass(12_000));
    await show({ maxPollTime: 20_000, pollInterval: 1_000 });
    await act(() => pass(7_999));
    expect(found).toMatchObject({ isPolling: true, error: null });
    await act(() => pass(100));
    expect(found).toMatchObject({ isPolling: false, error: { code: "timeout" } });
  });

  it("listens on after maxPollTime when it is asked to", async () => {
    const { seen, handlers } = recorder();
    await live({ ...handlers, maxPollTime: 20_000, keepListening: true });
    await act(() => pass(20_000));
    expect(found).toMatchObject({ isPolling: true, error: { code: "timeout" } });
    await state("a", { version: 2, status: "completed" });
    expect(found).toMatchObject({ isCompleted: true, error: null });
    expect(seen).toEqual(["completed a 2"]);
  });

  it("listens on with the timeout as its error, until the outcome", async () => {
    await live({ maxPollTime: 20_000, keepListening: true });
    await act(() => pass(20_000));
    await state("a", { version: 2 });
    expect(found).toMatchObject({ isPolling: true, error: { code: "timeout" } });
  });

  it("goes on when it is given more time", async () => {
    await live({ maxPollTime: 20_000 });
    await act(() => pass(20_000));
    await show({ maxPollTime: 60_000 });
    expect(found).toMatchObject({ isPolling: true, error: null });
  });

  it.each([Number.POSITIVE_INFINITY, 30 * 86_400_000])("has no timeout when maxPollTime is %d", async (maxPollTime) => {
    await live({ maxPollTime });
    await act(() => pass(1_000));
    expect(found).toMatchObject({ isPolling: true, error: null });
  });

  it("has its whole time again when it is enabled again", async () => {
    const { seen, handlers } = recorder();
    const options = { ...handlers, maxPollTime: 20_000 };
    await live(options);
    await show({ ...options, enabled: false });
    await act(() => pass(60_000));
    await show(options);
    await act(() => pass(19_999));
    expect(found).toMatchObject({ isPolling: true, error: null });
    await act(() => world.socket.accept());
    await state("a", { version: 2, status: "completed" });
    expect(seen).toEqual(["completed a 2"]);
  });
});
