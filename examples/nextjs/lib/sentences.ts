import { HookcastError } from "hookcast";

const BUSY = "Too much is asked for right now. Please try again in a minute.";
const AWAY = "The video service does not answer. Please try again in a minute.";

/** User-facing messages by error code; the codes are in Hookcast's docs/protocol.md. */
const SENTENCES: { readonly [code: string]: string } = {
  // from submit
  network: AWAY,
  timeout: AWAY,
  fal_unreachable: AWAY,
  store_unavailable: AWAY,
  rate_limited: BUSY,
  idempotency_in_flight: BUSY,
  submit_outcome_unknown: "Your video may be on its way. If it does not appear here soon, please enter the text again.",
  already_terminal: "This video has ended already.",
  job_not_found: "This video is not there any more.",
};

/** Return one sentence for the user. Errors that only you can fix are logged. Rethrows other errors. */
export function sentence(error: unknown): string {
  if (!(error instanceof HookcastError)) throw error;
  const known = SENTENCES[error.code] ?? refusal(error);
  if (known) return known;
  console.error(`Hookcast: ${error.code} (${error.status}): ${error.message}`);
  return "Something is wrong on our side. Please try again later.";
}

/** Return fal's message about the input, such as a prompt against its policy; else null, as for your key or account. */
function refusal({ code, detail, message }: HookcastError): string | null {
  const falStatus = (detail as { falStatus?: number } | null)?.falStatus;
  return code === "fal_rejected" && (falStatus === 400 || falStatus === 422) ? message : null;
}
