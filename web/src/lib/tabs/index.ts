/**
 * One connection for all tabs of an origin that use the same server for the same user (Web Locks API, W3C; Broadcast
 * Channel, WHATWG HTML section 9.5). Loaded on demand: it imports only types from the core, so that bundlers do not
 * split the core into a shared chunk.
 */

import type { HookcastError } from "../errors.js";
import type { Link } from "../link.js";
import type { TellPage } from "../page.js";
import type { Env } from "../transports/transport.js";
import type { rawJson as RawJson, readJob as ReadJob, Topic, topicsOf as TopicsOf } from "../wire.js";
import { claimsOf, digest, identityOf } from "./identity.js";
import { Member } from "./member.js";
import { VERSION } from "./protocol.js";

export { claimsOf };

/** How often a tab checks that there is a leader. */
const CHECK_MS = 10_000;

/** Open a link to the shared connection. Rejects where tabs cannot share: outside pages and in opaque origins. */
export async function openTabs(
  env: Env,
  openConnection: (env: Env) => Link,
  readJob: typeof ReadJob,
  rawJson: typeof RawJson,
  Failure: typeof HookcastError,
  topicsOf: typeof TopicsOf,
  gatherMs: number,
): Promise<Link> {
  new globalThis.BroadcastChannel("hookcast").close();
  if (!globalThis.document) throw new Error("There are no tabs");
  await navigator.locks.query();
  const core = { env, openConnection, readJob, rawJson, HookcastError: Failure, topicsOf, gatherMs };
  return new SharedLink(env, (share) => new Member({ ...core, share }));
}

/** A link that is a member of the tabs of its identity. */
class SharedLink implements Link {
  readonly #env: Env;
  readonly #join: (share: string) => Member;
  #topics: readonly Topic[] = [];
  #member: Member | undefined;
  #identity: string | undefined;
  #asleep = false;
  /** Incremented to invalidate an attempt to join that is under way. */
  #turn = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(env: Env, enter: (share: string) => Member) {
    this.#env = env;
    this.#join = enter;
    env.tokens.onUse = (token) => this.#identify(token);
  }

  readonly want = (topics: readonly Topic[]): void => {
    const { whenHidden, hidden } = this.#env;
    this.#asleep &&= this.#topics.length > 0; // page events are not observed while nothing is watched
    this.#topics = topics;
    if (whenHidden === "pause" && hidden()) {
      this.#sleep();
      return;
    }
    this.#share();
    if (!this.#member) this.#attend();
    if (topics.length === 0 && !this.#member?.serves()) this.#leave();
  };

  readonly page: TellPage = (type, certain) => {
    if (type === "hide") return this.#sleep();
    this.#asleep = false;
    if (this.#member) this.#member.wake(certain);
    else this.#attend();
  };

  close(): void {
    this.#topics = [];
    this.#leave();
  }

  /** Leave the share before a token of another identity is used, and join the tabs of that one. */
  #identify(token: string | null): void {
    const [before, now] = [this.#identity, identityOf(token)];
    this.#identity = now;
    if (before === undefined || before === now) return;
    this.#leave();
    this.#attend();
  }

  /** Join, unless there is nothing to watch. */
  async #attend(): Promise<void> {
    if (this.#asleep || this.#topics.length === 0) return;
    const env = this.#env;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    env.transport("connecting");
    this.#turn += 1;
    const turn = this.#turn;
    try {
      await env.tokens.get();
      const key = [env.url(""), env.ladder, env.whenHidden, env.heartbeatSeconds];
      const name = await digest(JSON.stringify([key, this.#identity]));
      if (turn !== this.#turn) return;
      this.#member = this.#join(`hookcast:${VERSION}:${name}`);
      this.#share();
    } catch (error) {
      if (turn === this.#turn) env.error(error as HookcastError);
    }
  }

  /** Check the leader; if joining failed, for lack of a token, try again. */
  #check(): void {
    if (!this.#member) return void this.#attend();
    this.#member.check();
    if (this.#topics.length === 0 && !this.#member.serves()) this.#leave();
  }

  #share(): void {
    this.#member?.want(this.#topics.map((topic) => [topic, this.#env.interval(topic)]));
  }

  #sleep(): void {
    this.#asleep = true;
    this.#leave();
  }

  #leave(): void {
    this.#turn += 1;
    this.#member?.leave();
    this.#member = undefined;
    clearInterval(this.#timer);
    this.#env.transport(this.#asleep ? "paused" : "connecting");
  }
}
