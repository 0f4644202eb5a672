/** Submit for the signed-in user, and to the endpoints that you allow. */

import type { JsonObject, Submission, Submitted } from "../index.js";
import { type ServerOptions, serverClient } from "./client.js";
import { PRIVATE, Refused } from "./problems.js";
import { type Handler, isObject, type PageOptions, postHandler, readObject } from "./requests.js";
import { signedIn, type UserOptions } from "./users.js";

/** The largest body of a submit, in bytes. */
export const MAX_BYTES = 262_144;

/**
 * Checks what a page sends, and returns the input for fal. A string is told to the visitor, with 422: return one, or
 * throw an Error that is logged.
 */
export type Check = (input: JsonObject, owner: string) => JsonObject | string | Promise<JsonObject | string>;

/** Options of `submitHandler`. */
export interface SubmitOptions<Context extends readonly unknown[] = [Request]>
  extends ServerOptions,
    UserOptions<Context> {
  /**
   * The endpoints that pages may submit to, fal's endpoint ids: `true` takes any input that fal takes. Prefer a check: each
   * request costs you money.
   */
  readonly endpoints: { readonly [endpointId: string]: Check | true };
  /** fal's request headers, by name, for every job. */
  readonly options?: Submission["options"];
}

/** What a page sends; everything else is the server's. */
export interface Wanted {
  readonly endpointId: string;
  readonly input: JsonObject;
  readonly group?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  /** The same key of the same user is the same job. */
  readonly idempotencyKey?: string | undefined;
}

/**
 * Handle POST of `{endpointId, input, group?, metadata?, idempotencyKey?}`: 202 `{requestId, status, job}`. The owner is
 * the signed-in user, whatever the page sends.
 */
export function submitHandler(options: SubmitOptions & PageOptions): Handler {
  return postHandler(options, async (request) => {
    const owner = await signedIn(options, request);
    const { requestId, status, job } = await submitFor(options, owner, await readObject(request, MAX_BYTES));
    return Response.json({ requestId, status, job }, { status: 202, headers: PRIVATE });
  });
}

/** Submit for `owner`. What the page wants is checked here. Throws Refused and HookcastError. */
export async function submitFor(
  options: Omit<SubmitOptions<never>, "user">,
  owner: string,
  wanted: Record<string, unknown> | Wanted,
): Promise<Submitted> {
  const { endpointId, input, group, metadata, idempotencyKey } = wantedOf(wanted);
  const check = Object.hasOwn(options.endpoints, endpointId) ? options.endpoints[endpointId] : undefined;
  if (!check) throw new Refused(403, "endpoint_not_allowed", "This model cannot be used here.");
  const checked = check === true ? input : await check(input, owner);
  if (typeof checked === "string") throw new Refused(422, "invalid_request", checked);
  const submission: Submission = {
    endpointId,
    input: checked,
    owner,
    ...(group !== undefined && { group }),
    ...(metadata && { metadata }),
    ...(options.options && { options: options.options }),
  };
  // Of the user: a guessed key does not reach the job of another one.
  const key = idempotencyKey === undefined ? {} : { idempotencyKey: await scoped(owner, idempotencyKey) };
  return serverClient(options).submit(submission, key);
}

function wantedOf(fields: Record<string, unknown> | Wanted): Wanted {
  const { endpointId, input, group, metadata, idempotencyKey } = fields;
  const texts = [group, idempotencyKey].every((value) => value === undefined || isLabel(value));
  if (isLabel(endpointId) && isObject(input) && texts && (metadata === undefined || isObject(metadata))) {
    return { endpointId, input, group, metadata, idempotencyKey } as Wanted;
  }
  throw new Refused(422, "invalid_request", "Send endpointId and input, and perhaps group, metadata, idempotencyKey.");
}

function isLabel(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 200;
}

/** Return a key of visible ASCII that nobody but this user can make. */
async function scoped(owner: string, key: string): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify([owner, key]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
