/** A failed request in one sentence, and what to do about it; pure. */

import type { HookcastError } from "../lib/index.js";
import { isRecord } from "./json";

export interface Problem {
  readonly sentence: string;
  readonly advice: string;
  /** The server's stable code. */
  readonly code: string;
  /** fal's own response body, pretty-printed. */
  readonly falBody: string | null;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** Whether the request needs an API key, or a different one. */
  readonly needsKey: boolean;
}

const KEY_ADVICE = "Enter one of the server's HOOKCAST_API_KEYS; the job is then sent automatically.";

type Words = readonly [sentence: string, advice: string];

export function problemOf(error: HookcastError, hasKey: boolean): Problem {
  const [sentence, advice] = words(error, hasKey);
  const { code, status } = error;
  return {
    sentence,
    advice,
    code,
    falBody: falBodyOf(error),
    retryable: status === 0 || status === 409 || status === 429 || status >= 500,
    needsKey: status === 401 || status === 403,
  };
}

function words(error: HookcastError, hasKey: boolean): Words {
  const { code, status, message } = error;
  if (code === "fal_rejected") return rejected(error);
  if (code === "fal_unreachable") {
    return [
      "Hookcast could not reach fal.",
      "Nothing was lost. Try again in a moment, or run `hookcast doctor` to find the cause.",
    ];
  }
  if (code === "submit_outcome_unknown") {
    return [
      "fal may have accepted the job, but its answer was lost.",
      "Try again in a moment: if it did, its webhook has arrived by then. Generating again creates another job.",
    ];
  }
  if (code === "network" || code === "timeout") {
    return [
      "The server did not answer.",
      "Is Hookcast running, and are you online? Trying again never makes a second job.",
    ];
  }
  if (status === 401)
    return [hasKey ? "The server does not know this key." : "The server requires an API key.", KEY_ADVICE];
  if (status === 403) return ["This key may watch jobs, but not start them.", KEY_ADVICE];
  if (status === 422)
    return [sentenceOf(message, "The server cannot use this request."), "Change the request and generate again."];
  if (status === 429) return ["Too many requests at once.", "Wait a minute, then try again."];
  if (status >= 500) return [`The server failed with ${status}.`, "Try again in a moment; its log says why."];
  return [sentenceOf(message, `The server answered ${status}.`), "Check the server's log, then try again."];
}

function rejected({ detail }: HookcastError): Words {
  const status = isRecord(detail) ? Number(detail.falStatus) : 0;
  const sentence = status > 0 ? `fal refused the job with ${status}.` : "fal refused the job.";
  if (status === 401 || status === 403) return [sentence, "Check the server's FAL_KEY."];
  if (status >= 500 || status === 429) return [sentence, "fal is busy or down: try again in a moment."];
  return [sentence, "fal's answer says what to change; then generate again."];
}

function falBodyOf({ detail }: HookcastError): string | null {
  const body = isRecord(detail) ? detail.falBody : undefined;
  if (body === undefined || body === null) return null;
  return typeof body === "string" ? body : JSON.stringify(body, null, 2);
}

/** Return `text` with a full stop, or `other` if `text` is not a sentence. */
function sentenceOf(text: string, other: string): string {
  if (!text.includes(" ")) return other;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
