/** A browser with many tabs: Web Locks, broadcast channels and page events as their standards have them. */

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, vi } from "vitest";
import { createHookcast, type Hookcast, type HookcastOptions } from "../../src/lib/index.js";
import { recorder, settled, World } from "./world.js";

/** Which tab's code is running: it follows promises by itself, and timers because they are bound. */
const running = new AsyncLocalStorage<Tab>();

function here(): Tab {
  const tab = running.getStore();
  if (tab === undefined) throw new Error("no tab is running");
  return tab;
}

export class Tab extends EventTarget {
  readonly world = new World();
  readonly record = recorder();
  readonly #browser: Browser;
  hidden = false;
  state: "running" | "frozen" | "dead" = "running";
  #tasks: (() => void)[] = [];
  readonly #clients: Hookcast[] = [];

  constructor(browser: Browser) {
    super();
    this.#browser = browser;
  }

  run<Result>(task: () => Result): Result {
    return running.run(this, task);
  }

  /** What its event loop does next, or once it runs again. */
  post(task: () => void): void {
    if (this.state === "running") this.run(task);
    if (this.state === "frozen") this.#tasks.push(task);
  }

  fire(type: string): void {
    this.run(() => this.dispatchEvent(new Event(type)));
  }

  client(options: HookcastOptions = {}) {
    const client = this.run(() => createHookcast({ ...this.world.options, shareTabs: true, ...options }));
    this.#clients.push(client);
    return client;
  }

  /** A client that watches these jobs. */
  async watch(names: readonly string[], options: HookcastOptions = {}) {
    const client = this.client(options);
    for (const name of names) this.run(() => client.watch(name, this.record.handlers));
    await arrived();
    return client;
  }

  async closeAll(): Promise<void> {
    for (const client of this.#clients.splice(0)) this.run(client.close);
    await settled();
  }

  get seen(): string[] {
    return this.record.seen;
  }

  get transport(): string | undefined {
    return this.record.transports.at(-1);
  }

  /** Nothing of it runs any more, and nobody told it. */
  hang(): void {
    this.state = "frozen";
  }

  async goOn(): Promise<void> {
    this.state = "running";
    for (const task of this.#tasks.splice(0)) this.run(task);
    await settled();
  }

  async crash(): Promise<void> {
    this.state = "dead";
    this.#browser.locks.drop(this);
    this.#browser.channels.delete(this);
    await arrived();
  }
}

interface LockRequest {
  readonly tab: Tab;
  readonly grant: () => void;
  readonly rob: () => void;
}

class Locks {
  /** By name; who holds a lock comes first. */
  readonly requests = new Map<string, LockRequest[]>();

  readonly query = async () => ({ held: [], pending: [] });

  readonly request = (name: string, ...rest: [LockOptions, () => unknown] | [() => unknown]) => {
    const [options, callback] = rest.length === 1 ? [{} as LockOptions, rest[0]] : rest;
    const tab = here();
    return new Promise((resolve, reject) => {
      const fail = () => tab.post(() => reject(new DOMException("The lock is not ours", "AbortError")));
      const grant = () =>
        tab.post(async () => {
          resolve(await callback());
          this.#remove(name, request);
        });
      const request: LockRequest = { tab, grant: () => queueMicrotask(grant), rob: fail };
      const queue = this.requests.get(name) ?? [];
      this.requests.set(name, queue);
      if (options.steal) queue.shift()?.rob();
      if (options.steal) queue.unshift(request);
      else queue.push(request);
      options.signal?.addEventListener("abort", () => {
        if (queue.indexOf(request) > 0) fail();
        if (queue.indexOf(request) > 0) this.#remove(name, request);
      });
      if (queue[0] === request) request.grant();
    });
  };

  #remove(name: string, request: LockRequest): void {
    const queue = this.requests.get(name) ?? [];
    const at = queue.indexOf(request);
    if (at >= 0) queue.splice(at, 1);
    if (at === 0) queue[0]?.grant();
  }

  drop(tab: Tab): void {
    for (const [name, queue] of this.requests) {
      for (const request of queue.filter((each) => each.tab === tab)) this.#remove(name, request);
    }
  }
}

interface Posted {
  readonly name: string;
  readonly data: { readonly type: string };
}

export class Browser {
  readonly locks = new Locks();
  readonly channels = new Map<Tab, Set<{ name: string; onmessage: ((event: { data: unknown }) => void) | null }>>();
  readonly posted: Posted[] = [];
  readonly tabs: Tab[] = [];

  readonly BroadcastChannel = (() => {
    const { channels, posted } = this;
    return class {
      readonly name: string;
      onmessage: ((event: { data: unknown }) => void) | null = null;
      readonly #tab = here();

      constructor(name: string) {
        this.name = name;
        channels.set(this.#tab, (channels.get(this.#tab) ?? new Set()).add(this));
      }

      postMessage(data: { readonly type: string }): void {
        if (!channels.get(this.#tab)?.has(this)) throw new DOMException("closed", "InvalidStateError");
        posted.push({ name: this.name, data });
        for (const [tab, open] of channels) {
          for (const channel of open) {
            if (channel === this || channel.name !== this.name) continue;
            const copy = structuredClone(data);
            queueMicrotask(() => tab.post(() => open.has(channel) && channel.onmessage?.({ data: copy })));
          }
        }
      }

      close(): void {
        channels.get(this.#tab)?.delete(this);
      }
    };
  })();

  open(): Tab {
    const tab = new Tab(this);
    this.tabs.push(tab);
    return tab;
  }

  /** Sockets that are open or being opened. */
  get sockets() {
    const alive = this.tabs.filter(({ state }) => state !== "dead");
    return alive.flatMap(({ world }) => world.sockets).filter(({ readyState }) => readyState < 2);
  }
}

/** Everything has happened, the loading of code, too. */
export async function arrived(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
  await vi.dynamicImportSettled();
  await settled();
  await settled();
}

/** A browser for each test; comes after `fakeTime`. */
export function browsing(): { readonly browser: Browser } {
  const context = { browser: new Browser() };
  beforeEach(() => {
    const browser = new Browser();
    context.browser = browser;
    vi.stubGlobal("navigator", { locks: browser.locks });
    vi.stubGlobal("BroadcastChannel", browser.BroadcastChannel);
    vi.stubGlobal("document", {
      get hidden() {
        return running.getStore()?.hidden;
      },
    });
    vi.stubGlobal("addEventListener", (...args: Parameters<Tab["addEventListener"]>) =>
      here().addEventListener(...args),
    );
    vi.spyOn(crypto.subtle, "digest").mockImplementation(
      async (_, data) =>
        new Uint8Array(
          createHash("sha256")
            .update(data as Uint8Array)
            .digest(),
        ).buffer,
    );
    for (const name of ["setTimeout", "setInterval"] as const) {
      const real = globalThis[name] as (task: () => void, ms?: number) => unknown;
      vi.stubGlobal(name, (task: () => void, ms?: number) => {
        const tab = running.getStore();
        return real(tab ? () => tab.post(task) : task, ms);
      });
    }
  });
  afterEach(() => {
    return Promise.all(context.browser.tabs.map((tab) => tab.closeAll()));
  });
  return context;
}
