/**
 * One connection for all tabs of an origin that use the same server for the same user (Web Locks API, W3C; Broadcast
 * Channel, WHATWG HTML section 9.5). Loaded on demand: it imports only types from the core, so that bundlers do not
 * split the core into a shared chunk.
 */

import type { HookcastError } from "../errors.js";
import type { Link } from "../link.js";
import type { Env } from "../transports/transport.js";
import type { rawJson as RawJson, readJob as ReadJob, Topic } from "../wire.js";
import { digest, identityOf } from "./identity.js";
import { join, type Member } from "./member.js";
import { VERSION } from "./protocol.js";

/** How often a tab checks that there is a leader. */
const CHECK_MS = 10_000;

/** Open a link to the shared connection. Rejects where tabs cannot share: outside pages and in opaque origins. */
export async function openTabs(
  env: Env,
  openConnection: (env: Env) => Link,
  readJob: typeof ReadJob,
  rawJson: typeof RawJson,
  Failure: typeof HookcastError,
): Promise<Link> {
  new globalThis.BroadcastChannel("hookcast").close();
  if (!globalThis.document) throw new Error("There are no tabs");
  await navigator.locks.query();
  const around = { env, openConnection, readJob, rawJson, HookcastError: Failure };
  const key = [env.url(""), env.ladder, env.whenHidden, env.heartbeatSeconds];
  return openShared(env, key, (share) => join({ ...around, share }));
}

function openShared(env: Env, key: unknown, enter: (share: string) => Member): Link {
  let topics: readonly Topic[] = [];
  let member: Member | undefined;
  let identity: string | undefined;
  let asleep = false;
  /** Incremented to invalidate an attempt to join that is under way. */
  let turn = 0;
  let timer: ReturnType<typeof setInterval> | undefined;

  const leave = () => {
    turn += 1;
    member?.leave();
    member = undefined;
    clearInterval(timer);
    env.transport(asleep ? "paused" : "connecting");
  };
  const share = () => member?.want(topics.map((topic) => [topic, env.interval(topic)]));
  const attend = async () => {
    clearInterval(timer);
    timer = setInterval(check, CHECK_MS);
    env.transport("connecting");
    turn += 1;
    const mine = turn;
    try {
      await env.tokens.get();
      const name = await digest(JSON.stringify([key, identity]));
      if (mine !== turn) return;
      member = enter(`hookcast:${VERSION}:${name}`);
      share();
    } catch (error) {
      if (mine === turn) env.error(error as HookcastError);
    }
  };
  const awake = () => !asleep && topics.length > 0;
  /** Check the leader; if joining failed, for lack of a token, try again. */
  const check = () => {
    if (!member) return void attend();
    member.check();
    if (topics.length === 0 && !member.serves()) leave();
  };
  const sleep = () => {
    asleep = true;
    leave();
  };

  // Every token passes here before it is used: leave the share before a token of another identity takes effect.
  const { get } = env.tokens;
  env.tokens.get = async (refused) => {
    const token = await get(refused);
    const [before, now] = [identity, identityOf(token)];
    identity = now;
    if (before !== undefined && before !== now) {
      leave();
      if (awake()) void attend();
    }
    return token;
  };
  return {
    want: (names) => {
      asleep &&= topics.length > 0; // page events are not observed while nothing is watched
      topics = names;
      if (env.whenHidden === "pause" && env.hidden()) return sleep();
      share();
      if (!member && awake()) void attend();
      if (topics.length === 0 && !member?.serves()) leave();
    },
    page: (type, certain) => {
      if (type === "hide") return sleep();
      asleep = false;
      if (member) member.wake(certain);
      else if (awake()) void attend();
    },
    close: () => {
      topics = [];
      leave();
    },
  };
}
