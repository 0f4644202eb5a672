/** Tabs that watch the same jobs. */

import { expect } from "vitest";
import type { Job } from "../../src/lib/index.js";
import { arrived, browsing, type Tab } from "./browser.js";
import { type FakeSocket, pass } from "./world.js";

/** A browser for each test, and what its tabs do; comes after `fakeTime`. */
export function tabbing() {
  const context = browsing();

  /** So many tabs that watch the same, and the one that leads, whose socket is open. */
  async function opened(count: number, names: readonly string[] = ["a"], options = {}) {
    const tabs: Tab[] = [];
    for (let n = 0; n < count; n += 1) {
      const tab = context.browser.open();
      tabs.push(tab);
      await tab.watch(names, options);
    }
    const [leader, ...others] = tabs as [Tab, Tab, ...Tab[]];
    await leader.world.socket.accept();
    await pass(50);
    return { tabs, leader, others, follower: others[0] as Tab };
  }

  /** The socket of whoever leads now, which is the only one. */
  async function newSocket(): Promise<FakeSocket> {
    await pass(50);
    const [socket, ...rest] = context.browser.sockets as [FakeSocket];
    expect(rest).toEqual([]);
    await socket.accept();
    await arrived();
    return socket;
  }

  /** The names that other pages of the origin could see. */
  const names = () => [...context.browser.posted.map(({ name }) => name), ...context.browser.locks.requests.keys()];
  return { context, opened, newSocket, names };
}

export async function tell(socket: FakeSocket, id: string, changes: Partial<Job>): Promise<void> {
  socket.state(id, changes);
  await arrived();
}

export const token = (claims: object) => `e30.${btoa(JSON.stringify(claims)).replaceAll("=", "")}.c2ln`;
