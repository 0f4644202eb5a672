"use server";

import type { JsonObject } from "hookcast";
import { cancelAction, retryAction, submitAction } from "hookcast/next";
import { refresh } from "next/cache";
import { hookcast } from "@/lib/hookcast";
import { currentUser, signInAsGuest } from "@/lib/session";
import { MAX_PROMPT } from "@/lib/video";

const ENDPOINT = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
const MAX_RUNNING = 3;

const submit = submitAction({
  // With your own sign-in: user: async () => (await currentUser())?.id,
  user: async () => ((await currentUser()) ?? (await signInAsGuest())).id,
  endpoints: { [ENDPOINT]: checked },
});
const own = { user: async () => (await currentUser())?.id };
const cancel = cancelAction(own);
const retry = retryAction(own);

/** Return the input for fal or, as a string, what the user should change. */
async function checked({ prompt }: JsonObject, owner: string): Promise<JsonObject | string> {
  if (typeof prompt !== "string" || !prompt.trim()) return "Please describe the video.";
  if (prompt.length > MAX_PROMPT) return `Please say it in ${MAX_PROMPT} characters.`;
  return (await tooMany(owner)) ?? { prompt: prompt.trim() };
}

async function tooMany(owner: string): Promise<string | null> {
  const running = await hookcast().list({ owner, status: "pending", limit: MAX_RUNNING });
  return running.jobs.length === MAX_RUNNING ? "Please wait until one of your videos is done." : null;
}

/** Submit a prompt to fal. `key` makes retries safe: the same key is the same job. Returns an error message, or null. */
export async function submitVideo(prompt: string, key: string): Promise<string | null> {
  const metadata = { prompt: String(prompt).trim() };
  const { error } = await submit({ endpointId: ENDPOINT, input: { prompt }, metadata, idempotencyKey: key });
  if (error) return error.message;
  refresh(); // re-renders the page, which has a user after the first submit
  return null;
}

/** Ask fal to cancel one of the user's own jobs. Returns an error message, or null. */
export async function cancelVideo(requestId: string): Promise<string | null> {
  const { error } = await cancel(requestId);
  return error ? error.message : null;
}

/** Submit the input of one of the user's own jobs again, which the list then shows. Returns an error message, or null. */
export async function retryVideo(requestId: string): Promise<string | null> {
  const user = await currentUser();
  const refusal = user && (await tooMany(user.id));
  if (refusal) return refusal;
  const { error } = await retry(requestId);
  return error ? error.message : null;
}
