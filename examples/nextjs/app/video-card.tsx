"use client";

import { isTerminal, type Job, type MediaFile } from "hookcast";
import { useFalJob } from "hookcast/react";
import { useActionState, useState } from "react";
import { OFFLINE, type Video } from "@/lib/video";
import { cancelVideo } from "./actions";

/** One job: first as rendered by the server, then live. */
export function VideoCard({ known }: { known: Job<Video> }) {
  const { requestId } = known;
  const live = useFalJob<Video>({ requestId, enabled: !isTerminal(known), keepListening: true });
  const job = live.job && live.job.version > known.version ? live.job : known;
  const prompt = String(job.metadata.prompt ?? "");
  const file = beingSaved(job);
  const url = file?.source ?? job.result?.video?.url;
  return (
    <article aria-label={prompt} data-status={job.status}>
      <p className="prompt">{prompt}</p>
      <p role="status">{progressOf(job)}</p>
      {url && <Player url={url} prompt={prompt} />}
      {file && <Saving file={file} />}
      {job.status === "pending" && !file && <Waiting job={job} trouble={troubleOf(live.error?.code)} />}
      {job.status === "completed" && !url && <p role="alert">The model made no video.</p>}
      {job.status === "failed" && <p role="alert">{job.error ?? "The model gave no reason."}</p>}
    </article>
  );
}

function Waiting({ job, trouble }: { job: Job; trouble: string | null }) {
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
      <p role="alert">{refusal ?? trouble}</p>
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

/** Return why the job's states do not arrive, null if they do. Except for `timeout`, the library recovers by itself. */
function troubleOf(code: string | undefined): string | null {
  if (code === undefined) return null;
  if (code === "timeout") return "This takes longer than usual. You can leave the page and come back.";
  return "The progress cannot be shown right now. The video is being made all the same; reload to see it.";
}
