/** Read a request of a page, and answer it. */

import { problemResponse, Refused, refusalOf } from "./problems.js";
import { logOf } from "./users.js";

/** A web-standard handler: Next.js route handlers, Hono, SvelteKit, Remix, Bun, Deno, Workers. */
export type Handler = (request: Request) => Promise<Response>;

/** Options of every handler that pages ask. */
export interface PageOptions {
  /** Origins of other pages that may ask, such as `https://www.example.com`; CORS remains with your framework. */
  readonly origins?: readonly string[] | undefined;
  readonly log?: ((error: unknown) => void) | undefined;
}

/** Make a handler of POST requests of the page's own site; what `answer` throws becomes a problem document. */
export function postHandler(options: PageOptions, answer: (request: Request) => Promise<Response>): Handler {
  return async (request) => {
    try {
      if (request.method !== "POST") throw new Refused(405, "method_not_allowed", "Only POST is answered here.");
      refuseOtherSites(request, options.origins ?? []);
      return await answer(request);
    } catch (error) {
      return problemResponse(refusalOf(error, logOf(options)));
    }
  };
}

/** Refuse what pages of other sites send with the user's cookies (Fetch Metadata, W3C; Origin, RFC 6454 section 7). */
function refuseOtherSites({ headers, url }: Request, origins: readonly string[]): void {
  const site = headers.get("sec-fetch-site");
  const origin = headers.get("origin");
  if (origin && origins.includes(origin)) return;
  const hosts = [headers.get("x-forwarded-host"), headers.get("host"), new URL(url).host];
  const own = site ? site === "same-origin" || site === "none" : !origin || hosts.includes(hostOf(origin));
  if (!own) throw new Refused(403, "cross_site", "Pages of other sites may not ask this.");
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : "";
}

/** Read a body of at most `limit` bytes. Throws Refused. */
export async function readBody({ body, headers }: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = new Refused(413, "too_large", "That is too much.");
  if (Number(headers.get("content-length")) > limit) throw tooLarge;
  const parts: Uint8Array[] = [];
  let size = 0;
  // Not `for await`: not every runtime can iterate over a stream.
  const reader = body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    size += part.value.length;
    if (size > limit) {
      await reader?.cancel();
      throw tooLarge;
    }
    parts.push(part.value);
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** Read a JSON object of at most `limit` bytes. Throws Refused. */
export async function readObject(request: Request, limit: number): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type") ?? "";
  // A form of another site cannot send this type without being asked for permission first.
  if (!/^application\/json\b/i.test(type)) throw new Refused(415, "not_json", "Send application/json.");
  const text = new TextDecoder().decode(await readBody(request, limit));
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Not JSON.
  }
  throw new Refused(422, "invalid_request", "The body is no JSON object.");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
