/** The public API of `hookcast/server`: handlers for any server with web-standard requests. */

export { type ServerOptions, serverClient } from "./client.js";
export type { Refusal } from "./problems.js";
export type { Handler, PageOptions } from "./requests.js";
export { type Check, type SubmitOptions, submitHandler, type Wanted } from "./submit.js";
export { type TokenOptions, tokenHandler } from "./token.js";
export type { UserOf } from "./users.js";
export { verifyWebhook, type WebhookEvent, type WebhookOptions, webhookHandler } from "./webhook.js";
