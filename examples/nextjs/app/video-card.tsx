"use client";

import type { Job, MediaFile } from "hookcast";
import { useActionState, useState } from "react";
import { OFFLINE, type Video } from "@/lib/video";
import { cancelVideo, retryVideo } from "./actions";

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
      {["failed", "cancelled"].includes(job.status) && (
        <ActionButton action={() => retryVideo(job.requestId)}>Try again</ActionButton>
      )}
    </article>
  );
}

function Waiting({ job }: { job: Job }) {
  return (
    <>
      <progress aria-label="The video is being made" />
      <p className="quiet log">{job.progress.logs.at(-1)?.message}</p>
      <ActionButton action={() => cancelVideo(job.requestId)} off={job.progress.phase === "cancelling"}>
        Cancel
      </ActionButton>
    </>
  );
}

type ActionProps = { readonly action: () => Promise<string | null>; readonly off?: boolean; readonly children: string };

/** A button that runs a server action, and shows why it was refused. */
function ActionButton({ action, off = false, children }: ActionProps) {
  const [refusal, run, isRunning] = useActionState(() => action().catch(() => OFFLINE), null);
  return (
    <form action={run}>
      <button type="submit" className="plain" disabled={isRunning || off}>
        {children}
      </button>
      <p role="alert">{refusal}</p>
    </form>
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
