/** Receive Hookcast's webhooks: Standard Webhooks 1.0, verified with WebCrypto. */

import type { Job } from "../index.js";
import { environment } from "./client.js";
import { problemResponse, Refused, refusalOf } from "./problems.js";
import { type Handler, readBody } from "./requests.js";
import { logOf } from "./users.js";

/** A result with files inside may have 32 MB. */
export const MAX_WEBHOOK_BYTES = 41_943_040;
/** How far a webhook's time may be from this server's, in seconds. */
export const TOLERANCE_SECONDS = 300;

/** What Hookcast tells. */
export interface WebhookEvent<JobResult = unknown> {
  /** `webhook-id`: the same each time an event is told. */
  readonly id: string;
  readonly type: "job.completed" | "job.failed" | "job.cancelled" | "job.started" | "job.progress" | (string & {});
  /** When it happened, RFC 3339. */
  readonly timestamp: string;
  readonly data: Job<JobResult>;
  /** The body as it was sent, in which numbers beyond 2^53 keep their digits. */
  readonly text: string;
}

/** Options of `webhookHandler`. */
export interface WebhookOptions<JobResult = unknown> {
  /**
   * Called with each event, at least once: keep the ids that you have dealt with, in the transaction that deals with them.
   * What it throws is answered 500, and the event is told again.
   */
  readonly onEvent: (event: WebhookEvent<JobResult>) => void | Promise<void>;
  /** `whsec_…`, several separated by commas while they change; by default the environment's `HOOKCAST_FORWARD_SECRET`. */
  readonly secret?: string | undefined;
  /** Called with what `onEvent` throws; `console.error` by default. */
  readonly log?: ((error: unknown) => void) | undefined;
}

/** Handle POST: 204 once `onEvent` is done, 401 for what Hookcast did not sign. */
export function webhookHandler<JobResult = unknown>(options: WebhookOptions<JobResult>): Handler {
  return async (request) => {
    try {
      if (request.method !== "POST") throw new Refused(405, "method_not_allowed", "Only POST is answered here.");
      // The headers are checked before the body is read.
      const signed = signedOf(request.headers, Date.now());
      const body = await readBody(request, MAX_WEBHOOK_BYTES);
      await options.onEvent(await verified<JobResult>(signed, body, secretsOf(options.secret)));
      return new Response(null, { status: 204 });
    } catch (error) {
      return problemResponse(refusalOf(error, logOf(options)));
    }
  };
}

/**
 * Verify a webhook, for frameworks without Request. `headers`: by lower-case name. Rejects with an Error if Hookcast did not
 * sign it, or more than five minutes ago.
 */
export async function verifyWebhook<JobResult = unknown>(
  headers: Headers | Record<string, string | string[] | undefined>,
  body: string | Uint8Array<ArrayBuffer>,
  secret?: string,
): Promise<WebhookEvent<JobResult>> {
  const given =
    headers instanceof Headers
      ? headers
      : new Headers(Object.entries(headers).map(([name, value]) => [name, String(value ?? "")]));
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  return verified(signedOf(given, Date.now()), bytes, secretsOf(secret));
}

interface Signed {
  readonly id: string;
  readonly timestamp: string;
  readonly signatures: readonly string[];
}

function signedOf(headers: Headers, now: number): Signed {
  const [id, timestamp, signature] = ["id", "timestamp", "signature"].map(
    (name) => headers.get(`webhook-${name}`) ?? "",
  );
  if (!id || !timestamp || !signature) throw refused("signature_missing");
  if (!/^\d+$/.test(timestamp) || Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) {
    throw refused("timestamp_out_of_range");
  }
  const signatures = signature.split(" ").filter((part) => part.startsWith("v1,"));
  return { id, timestamp, signatures: signatures.map((part) => part.slice(3)) };
}

async function verified<JobResult>(
  { id, timestamp, signatures }: Signed,
  body: Uint8Array<ArrayBuffer>,
  secrets: readonly Uint8Array<ArrayBuffer>[],
): Promise<WebhookEvent<JobResult>> {
  const content = await new Blob([`${id}.${timestamp}.`, body]).arrayBuffer();
  for (const secret of secrets) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["verify"]);
    for (const signature of signatures) {
      const bytes = decoded(signature);
      // Takes the same time wherever a signature differs.
      if (bytes && (await crypto.subtle.verify("HMAC", key, bytes, content))) return eventOf(id, body);
    }
  }
  throw refused("signature_invalid");
}

function eventOf<JobResult>(id: string, body: Uint8Array): WebhookEvent<JobResult> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    return { ...JSON.parse(text), id, text };
  } catch {
    throw new Refused(422, "malformed", "The body is no JSON.");
  }
}

/** Return the keys of a setting. Throws an Error that names it. */
function secretsOf(secret = environment("HOOKCAST_FORWARD_SECRET") ?? ""): Uint8Array<ArrayBuffer>[] {
  return secret.split(",").map((part) => {
    const key = decoded(part.trim().replace(/^whsec_/, ""));
    if (!key || key.length < 24) throw new Error("Set HOOKCAST_FORWARD_SECRET to whsec_ and 24 to 64 bytes in base64.");
    return key;
  });
}

function decoded(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

function refused(code: string): Refused {
  return new Refused(401, code, "Hookcast did not sign this.");
}
