/** Answers that say what is wrong, in words that a visitor may read: what only the operator can mend is logged. */

import { HookcastError } from "../index.js";

/** Why a request was not granted. `message` is for the visitor. */
export interface Refusal {
  readonly status: number;
  /** A stable code: Hookcast's, or `unauthorized`, `cross_site`, `endpoint_not_allowed`, `internal`. */
  readonly code: string;
  readonly message: string;
}

/** A refusal that a handler throws. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.refusal = { status, code, message };
  }
}

const AWAY = "The service does not answer. Please try again in a minute.";
const BUSY = "Too much is asked for right now. Please try again in a minute.";
/** Hookcast's codes that a visitor can do something about. */
const KNOWN: { readonly [code: string]: readonly [status: number, message: string] } = {
  network: [503, AWAY],
  timeout: [503, AWAY],
  fal_unreachable: [503, AWAY],
  store_unavailable: [503, AWAY],
  rate_limited: [429, BUSY],
  busy: [503, BUSY],
  idempotency_in_flight: [409, BUSY],
  submit_outcome_unknown: [409, "It may be on its way. If it does not appear soon, please send it again."],
  already_terminal: [409, "It has ended already."],
  not_terminal: [409, "It has not ended yet."],
  input_not_kept: [409, "It cannot be made again from here. Please send it anew."],
  job_not_found: [404, "It is not there any more."],
};

/** Return what a visitor is told of an error; `log` gets what they are not told. */
export function refusalOf(error: unknown, log: (error: unknown) => void): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (error instanceof HookcastError) {
    const { code, message } = error;
    const known = KNOWN[code];
    if (known) return { status: known[0], code, message: known[1] };
    if (isAboutInput(error)) return { status: 422, code, message };
  }
  log(error);
  return { status: 500, code: "internal", message: "Something is wrong on our side. Please try again later." };
}

/** Whether fal refused the input, such as a prompt against its policy, and not the operator's key or account. */
function isAboutInput({ code, detail }: HookcastError): boolean {
  const { falStatus } = (detail ?? {}) as { falStatus?: number };
  return code === "fal_rejected" && (falStatus === 400 || falStatus === 422);
}

/** Return a refusal as a problem document (RFC 9457). */
export function problemResponse({ status, code, message }: Refusal): Response {
  const body = JSON.stringify({ title: code, status, code, detail: message });
  return new Response(body, { status, headers: { "Content-Type": "application/problem+json", ...PRIVATE } });
}

/** No cache keeps what is for one user. */
export const PRIVATE = { "Cache-Control": "no-store" };
