import { HookcastError } from "hookcast";

const BUSY = "Too much is asked for right now. Please try again in a minute.";
const AWAY = "The video service does not answer. Please try again in a minute.";

/** What a visitor is told, by the error's stable code; see the tables in Hookcast's docs/protocol.md. */
const SENTENCES: { readonly [code: string]: string } = {
  // of a submit
  network: AWAY,
  timeout: AWAY,
  fal_unreachable: AWAY,
  store_unavailable: AWAY,
  rate_limited: BUSY,
  idempotency_in_flight: BUSY,
  already_terminal: "This video has ended already.",
  job_not_found: "This video is not there any more.",
};

/** One sentence for the visitor. What only you can mend goes to this server's log. */
export function sentence(error: unknown): string {
  if (!(error instanceof HookcastError)) throw error;
  const known = SENTENCES[error.code] ?? refusal(error);
  if (known) return known;
  console.error(`Hookcast: ${error.code} (${error.status}): ${error.message}`);
  return "Something is wrong on our side. Please try again later.";
}

/** fal's own words about the input, such as a prompt against its rules; not those about your key or your account. */
function refusal({ code, detail, message }: HookcastError): string | null {
  const falStatus = (detail as { falStatus?: number } | null)?.falStatus;
  return code === "fal_rejected" && (falStatus === 400 || falStatus === 422) ? message : null;
}
