import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer } from "../src/api";
import type { Job } from "../src/job";
import { Slots } from "../src/slots";
import { initialState, reduce, type Source, type WatchDeps, Watcher, type WatchState } from "../src/watch";
import { noticeWords } from "../src/words";
import { job, snapshot } from "./fixtures";

class FakeSource implements Source {
  readyState = 0;
  readonly #listeners = new Map<string, (event: MessageEvent<unknown>) => void>();

  addEventListener(type: string, listener: (event: MessageEvent<unknown>) => void): void {
    this.#listeners.set(type, listener);
  }

  close(): void {
    this.readyState = 2;
  }

  emit(type: string, data?: string): void {
    this.#listeners.get(type)?.({ data } as MessageEvent<unknown>);
  }

  job(changes: Partial<Job>): void {
    this.readyState = 1;
    this.emit("job", JSON.stringify(job(changes)));
  }

  /** The connection drops; the browser reconnects by itself. */
  drop(): void {
    this.readyState = 0;
    this.emit("error");
  }

  /** The answer was no stream; the browser gives up. */
  refuse(): void {
    this.readyState = 2;
    this.emit("error");
  }
}

function setUp(slots = new Slots(4)) {
  const sources: FakeSource[] = [];
  const states: WatchState[] = [];
  const ask = vi.fn(async (_version: number | null): Promise<Answer> => ({ kind: "same" }));
  const deps: WatchDeps = {
    open: () => {
      const source = new FakeSource();
      sources.push(source);
      return source;
    },
    ask,
    acquire: slots.acquire,
    changed: (state) => states.push(state),
    setTimer: (run, ms) => setTimeout(run, ms) as unknown as number,
    clearTimer: (timer) => clearTimeout(timer),
  };
  const watcher = new Watcher(deps, snapshot());
  const source = (index = sources.length - 1): FakeSource => {
    const found = sources[index];
    if (found === undefined) throw new Error("no stream was opened");
    return found;
  };
  return { ask, source, sources, states, watcher };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function finish(source: FakeSource): void {
  source.job({ version: 99, status: "completed" });
  source.emit("end", "{}");
}

describe("a live stream", () => {
  it("is live from its first state and shows every newer one", () => {
    const { source, watcher } = setUp();
    watcher.start();
    expect(watcher.state.transport).toBe("connecting");
    source().job({ version: 1 });
    expect(watcher.state.transport).toBe("live");
    source().job({ version: 2 });
    expect(watcher.state.snapshot?.job.version).toBe(2);
    finish(source());
  });

  it("ignores a state whose version is not newer, and frames that are no state", () => {
    const { source, watcher } = setUp();
    watcher.start();
    source().job({ version: 5, endpointId: "kept" });
    source().job({ version: 5, endpointId: "same version" });
    source().job({ version: 4, endpointId: "older" });
    source().emit("job", "{broken");
    expect(watcher.state.snapshot?.job).toMatchObject({ version: 5, endpointId: "kept" });
    finish(source());
  });

  it("closes at the end and never asks again", async () => {
    const { ask, source, sources, watcher } = setUp();
    watcher.start();
    finish(source());
    expect(source().readyState).toBe(2);
    expect(watcher.state.transport).toBe("done");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).not.toHaveBeenCalled();
    expect(sources).toHaveLength(1);
  });

  it("stays done when the server closes after the last state without saying end", () => {
    const { source, watcher } = setUp();
    watcher.start();
    source().job({ version: 2, status: "failed" });
    source().drop();
    expect(source().readyState).toBe(2);
    expect(watcher.state).toMatchObject({ transport: "done", reason: null });
  });
});

describe("a broken stream", () => {
  it("is polled every three seconds until it is back", async () => {
    const { ask, source, watcher } = setUp();
    watcher.start();
    source().job({ version: 3 });
    source().drop();
    expect(watcher.state.transport).toBe("polling");
    expect(noticeWords(watcher.state)).toBe("Live updates interrupted - checking every 3 s");
    await vi.advanceTimersByTimeAsync(9_100);
    expect(ask).toHaveBeenCalledTimes(4);
    expect(ask).toHaveBeenLastCalledWith(3);
    source().job({ version: 3 });
    expect(watcher.state.transport).toBe("live");
    expect(noticeWords(watcher.state)).toBeNull();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(ask).toHaveBeenCalledTimes(4);
    finish(source());
  });

  it("takes newer states from the answers, and is done with the last one", async () => {
    const { ask, source, watcher } = setUp();
    watcher.start();
    source().drop();
    ask.mockResolvedValueOnce({ kind: "state", snapshot: snapshot({ version: 8, status: "completed" }) });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(watcher.state).toMatchObject({ transport: "done", snapshot: { job: { version: 8 } } });
    expect(source().readyState).toBe(2);
  });

  it("is opened again with growing pauses when the browser has given up", async () => {
    const { source, sources, watcher } = setUp();
    watcher.start();
    source().refuse();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sources).toHaveLength(2);
    source().refuse();
    await vi.advanceTimersByTimeAsync(1_999);
    expect(sources).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(sources).toHaveLength(3);
    source().job({ version: 2 });
    expect(watcher.state.transport).toBe("live");
    finish(source());
  });

  it("is taken for broken when it stays silent, as behind a proxy that buffers", async () => {
    const { ask, source, watcher } = setUp();
    watcher.start();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(watcher.state.transport).toBe("polling");
    expect(ask).toHaveBeenCalledTimes(1);
    finish(source());
  });

  it("says so when the server does not answer either, and goes on trying", async () => {
    const { ask, source, watcher } = setUp();
    watcher.start();
    source().drop();
    ask.mockResolvedValue({ kind: "failed" });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(noticeWords(watcher.state)).toMatch(/does not answer either/);
    ask.mockResolvedValue({ kind: "same" });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(noticeWords(watcher.state)).not.toMatch(/does not answer/);
    finish(source());
  });

  it("stops for good when the server does not know the job any more", async () => {
    const { ask, source, watcher } = setUp();
    watcher.start();
    ask.mockResolvedValue({ kind: "gone" });
    source().drop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(1);
    expect(watcher.state).toMatchObject({ transport: "done", gone: true });
    expect(source().readyState).toBe(2);
  });

  it("asks for the last state when the stream ends without having brought it", async () => {
    const { ask, source, watcher } = setUp();
    watcher.start();
    ask.mockResolvedValue({ kind: "state", snapshot: snapshot({ version: 2, status: "cancelled" }) });
    source().emit("end", "{}");
    await vi.advanceTimersByTimeAsync(0);
    expect(watcher.state.transport).toBe("done");
  });
});

describe("many jobs", () => {
  it("are polled while all live connections are taken, and go live when one is free", async () => {
    const slots = new Slots(1);
    const first = setUp(slots);
    const second = setUp(slots);
    first.watcher.start();
    second.watcher.start();
    expect(second.sources).toHaveLength(0);
    expect(noticeWords(second.watcher.state)).toMatch(/Waiting for a free live connection/);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(second.ask).toHaveBeenCalledTimes(2);
    finish(first.source());
    second.source().job({ version: 2 });
    expect(second.watcher.state.transport).toBe("live");
    finish(second.source());
  });

  it("give their turn back when they finish before having had it", async () => {
    const slots = new Slots(1);
    const [first, second, third] = [setUp(slots), setUp(slots), setUp(slots)];
    for (const { watcher } of [first, second, third]) watcher.start();
    second.watcher.offer(snapshot({ version: 2, status: "cancelled" }));
    finish(first.source());
    expect(second.sources).toHaveLength(0);
    expect(third.sources).toHaveLength(1);
    finish(third.source());
    await vi.advanceTimersByTimeAsync(0);
  });
});

describe("the states of a watched job", () => {
  it("stay done whatever comes later", () => {
    const done = initialState(snapshot({ status: "completed" }));
    expect(reduce(done, { type: "broken", reason: "interrupted" })).toBe(done);
    expect(reduce(done, { type: "answered", answer: { kind: "failed" } })).toBe(done);
  });

  it("do not turn live by an answer to a request", () => {
    const polling = reduce(initialState(snapshot()), { type: "broken", reason: "interrupted" });
    const next = reduce(polling, { type: "answered", answer: { kind: "state", snapshot: snapshot({ version: 2 }) } });
    expect(next).toMatchObject({ transport: "polling", snapshot: { job: { version: 2 } } });
  });
});
