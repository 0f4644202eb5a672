/** The model's result. It is external data: every part may be missing. */
export type Video = { readonly video?: { readonly url?: string } };

/** The maximum length of a prompt, for the form and the server action. */
export const MAX_PROMPT = 1000;

/** Shown when a server action got no response. */
export const OFFLINE = "There was no answer. Are you online? Please try again.";
