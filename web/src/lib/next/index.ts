/** The public API of `hookcast/next`: route handlers and server actions. `user` reads the session, with `cookies()`. */

import type { Job } from "../index.js";
import type { ServerOptions } from "../server/client.js";
import { cancelFor, retryFor } from "../server/own.js";
import { type Refusal, refusalOf } from "../server/problems.js";
import type { Handler, PageOptions } from "../server/requests.js";
import { type SubmitOptions, submitFor, submitHandler, type Wanted } from "../server/submit.js";
import { type TokenOptions, tokenHandler } from "../server/token.js";
import { logOf, signedIn, type UserOptions } from "../server/users.js";
import { type WebhookOptions, webhookHandler } from "../server/webhook.js";

export { serverClient } from "../server/client.js";
export type { WebhookEvent } from "../server/webhook.js";
export type { Refusal, SubmitOptions, TokenOptions, Wanted, WebhookOptions };

/** What an action returns: an error is a value, because Next.js hides the message of a thrown one. */
export type Answer<Value> = (Value & { readonly error?: undefined }) | { readonly error: Refusal };

/** Return what a visitor may be told of an error of Hookcast, in one sentence; the others are logged. */
export function visitorSentence(error: unknown): string {
  return refusalOf(error, logOf({})).message;
}

/** `export const { POST } = tokenRoute({ user })`: mints stream tokens for the signed-in user. */
export function tokenRoute(options: TokenOptions & PageOptions): { readonly POST: Handler } {
  return { POST: tokenHandler(options) };
}

/** `export const { POST } = submitRoute({ user, endpoints })`: submits for the signed-in user. */
export function submitRoute(options: SubmitOptions & PageOptions): { readonly POST: Handler } {
  return { POST: submitHandler(options) };
}

/** `export const { POST } = webhookRoute({ onEvent })`: receives Hookcast's webhooks. */
export function webhookRoute<JobResult = unknown>(options: WebhookOptions<JobResult>): { readonly POST: Handler } {
  return { POST: webhookHandler(options) };
}

/** Make a server action that submits for the signed-in user, to the endpoints that you allow. */
export function submitAction(
  options: SubmitOptions<[]>,
): (wanted: Wanted) => Promise<Answer<{ readonly requestId: string; readonly job: Job }>> {
  return action(options, async (owner, wanted: Wanted) => {
    const { requestId, job } = await submitFor(options, owner, { ...wanted });
    return { requestId, job };
  });
}

/** Make a server action that cancels a job of the signed-in user. */
export function cancelAction(
  options: ServerOptions & UserOptions<[]>,
): (requestId: string) => Promise<Answer<{ readonly job: Job }>> {
  return action(options, async (owner, requestId: string) => ({ job: await cancelFor(options, owner, requestId) }));
}

/** Make a server action that submits the input of an ended job of the signed-in user again. */
export function retryAction(
  options: ServerOptions & UserOptions<[]>,
): (requestId: string) => Promise<Answer<{ readonly requestId: string; readonly job: Job }>> {
  return action(options, async (owner, wanted: string) => {
    const { requestId, job } = await retryFor(options, owner, wanted);
    return { requestId, job };
  });
}

/** A server action is a public endpoint: what it is called with has any type at run time. */
function action<Argument, Value extends object>(
  options: UserOptions<[]>,
  run: (owner: string, argument: Argument) => Promise<Value>,
): (argument: Argument) => Promise<Answer<Value>> {
  return async (argument) => {
    try {
      return await run(await signedIn(options), argument);
    } catch (error) {
      return { error: refusalOf(error, logOf(options)) };
    }
  };
}
