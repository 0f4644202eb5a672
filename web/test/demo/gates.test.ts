// @vitest-environment happy-dom

import { describe, expect, it, vi } from "vitest";
import { createGates, type Gate, gateOf } from "../../src/demo/gates";

class FakeSocket extends EventTarget {
  static opened: FakeSocket[] = [];
  closed = false;

  constructor(_url: string) {
    super();
    FakeSocket.opened.push(this);
  }

  close(): void {
    this.closed = true;
  }
}

/** Requests that never end by themselves. */
function world() {
  FakeSocket.opened = [];
  const hanging = (_input: unknown, init?: RequestInit) =>
    new Promise<Response>((_resolve, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
    });
  const fetcher = vi.fn(hanging) as unknown as typeof fetch;
  return createGates({ fetch: fetcher, WebSocket: FakeSocket as unknown as typeof WebSocket });
}

const SSE = "http://h/api/fal-jobs/events?requestId=a";
const LONG = "http://h/api/fal-jobs/a?wait=25&version=1";
const POLL = "http://h/api/fal-jobs/a";

describe("a blocked part of the network", () => {
  it.each([
    [SSE, "sse"],
    ["/api/fal-jobs/a/events", "sse"],
    [LONG, "long-poll"],
    [POLL, "network"],
    ["/healthz", "network"],
  ])("is told by the address: %s", (url, gate) => {
    expect(gateOf(url)).toBe(gate);
  });

  it.each<[Gate, string, string]>([
    ["sse", SSE, POLL],
    ["long-poll", LONG, SSE],
    ["network", POLL, ""],
  ])("%s refuses, cuts what is open, and lets the rest alone", async (gate, url, other) => {
    const gates = world();
    const open = gates.fetch(url);
    const untouched = other && vi.fn();
    if (untouched) gates.fetch(other).catch(untouched);
    gates.set(gate, true);
    await expect(open).rejects.toThrow(TypeError);
    await expect(gates.fetch(url)).rejects.toThrow(TypeError);
    if (untouched) expect(untouched).not.toHaveBeenCalled();
  });

  it("is open again when it is let through, and what is opened then is not cut by the past", () => {
    const gates = world();
    gates.set("websocket", true);
    expect(() => new gates.WebSocket("ws://h/ws")).toThrow(TypeError);
    gates.set("websocket", false);
    new gates.WebSocket("ws://h/ws");
    expect(FakeSocket.opened.map(({ closed }) => closed)).toEqual([false]);
    gates.set("websocket", true);
    expect(FakeSocket.opened.map(({ closed }) => closed)).toEqual([true]);
  });

  it("is everything when the network is, which the library hears of as from a browser", () => {
    const gates = world();
    const heard: string[] = [];
    for (const name of ["offline", "online"]) addEventListener(name, () => heard.push(name), { once: true });
    new gates.WebSocket("ws://h/ws");
    gates.set("network", true);
    expect(FakeSocket.opened[0]?.closed).toBe(true);
    expect(() => new gates.WebSocket("ws://h/ws")).toThrow(TypeError);
    gates.set("network", false);
    expect(heard).toEqual(["offline", "online"]);
  });

  it("still ends a request that its caller gives up", async () => {
    const controller = new AbortController();
    const open = world().fetch(POLL, { signal: controller.signal });
    controller.abort(new Error("given up"));
    await expect(open).rejects.toThrow("given up");
  });

  it("is told to whoever subscribed, until they leave", () => {
    const gates = world();
    const changed = vi.fn();
    const leave = gates.subscribe(changed);
    gates.set("sse", true);
    expect([...gates.shut()]).toEqual(["sse"]);
    leave();
    gates.set("sse", false);
    expect(changed).toHaveBeenCalledTimes(1);
    expect(gates.shut().size).toBe(0);
  });
});
