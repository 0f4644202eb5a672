/** What the model answers. It comes from elsewhere: each part may be missing. */
export type Video = { readonly video?: { readonly url?: string } };

/** The longest prompt, for the form and for the server action. */
export const MAX_PROMPT = 1000;

/** Said when a server action got no answer. */
export const OFFLINE = "There was no answer. Are you online? Please try again.";
