"use client";

import type { Job, MediaFile } from "hookcast";
import { useActionState, useState } from "react";
import { OFFLINE, type Video } from "@/lib/video";
import { cancelVideo } from "./actions";

/** One job, live. */
export function VideoCard({ job }: { job: Job<Video> }) {
  const prompt = String(job.metadata.prompt ?? "");
  const file = beingSaved(job);
  const url = file?.source ?? job.result?.video?.url;
  return (
    <article aria-label={prompt} data-status={job.status}>
      <p className="prompt">{prompt}</p>
      <p role="status">{progressOf(job)}</p>
      {url && <Player url={url} prompt={prompt} />}
      {file && <Saving file={file} />}
      {job.status === "pending" && !file && <Waiting job={job} />}
      {job.status === "completed" && !url && <p role="alert">The model made no video.</p>}
      {job.status === "failed" && <p role="alert">{job.error ?? "The model gave no reason."}</p>}
    </article>
  );
}

function Waiting({ job }: { job: Job }) {
  const [refusal, cancel, isCancelling] = useActionState(
    (): Promise<string | null> => cancelVideo(job.requestId).catch(() => OFFLINE),
    null,
  );
  return (
    <>
      <progress aria-label="The video is being made" />
      <p className="quiet log">{job.progress.logs.at(-1)?.message}</p>
      <form action={cancel}>
        <button type="submit" className="plain" disabled={isCancelling || job.progress.phase === "cancelling"}>
          Cancel
        </button>
      </form>
      <p role="alert">{refusal}</p>
    </>
  );
}

/** Return the video while Hookcast copies it into your storage: it can already be watched at fal. */
function beingSaved({ status, media }: Job): MediaFile | undefined {
  return status === "pending" ? media?.find(({ source }) => source.startsWith("http")) : undefined;
}

function Saving({ file: { bytes, size } }: { file: MediaFile }) {
  return <progress aria-label="The video is being saved" value={size ? bytes : undefined} max={size ?? undefined} />;
}

/** A video that plays keeps the link that it began with, which may be fal's, unless that stops working. */
function Player({ url, prompt }: { url: string; prompt: string }) {
  const [first, setFirst] = useState<string | null>(url);
  const drop = () => setFirst(null);
  return <video src={first ?? url} onError={drop} controls playsInline preload="metadata" aria-label={prompt} />;
}

function progressOf({ status, progress }: Job): string {
  if (status !== "pending") return { completed: "Ready", failed: "Failed", cancelled: "Cancelled" }[status];
  const { queuePosition, expectedSeconds } = progress;
  const usually = expectedSeconds ? `, usually about ${Math.ceil(expectedSeconds)} s` : "";
  return {
    queued: queuePosition ? `Queued, ${queuePosition} before you` : "Queued, next",
    running: `Running${usually}`,
    saving: "Saving",
    cancelling: "Cancelling",
    ended: "Ended",
  }[progress.phase];
}
