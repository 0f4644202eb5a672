"use client";

import type { JobPage } from "hookcast";
import { HookcastProvider } from "hookcast/react";
import { useMyJobs } from "hookcast/react/my-jobs";
import type { Video } from "@/lib/video";
import { VideoCard } from "./video-card";

type Mine = {
  readonly owner: string;
  /** The first page, as the server listed it; null if it could not, and then `trouble` says why. */
  readonly page: JobPage<Video> | null;
  readonly trouble: string | null;
};

/** The user's videos, in all tabs. They share the provider's connection to Hookcast. */
export function Videos({ url, ...mine }: Mine & { url: string }) {
  return (
    <HookcastProvider url={url} getToken={getToken}>
      <List {...mine} />
    </HookcastProvider>
  );
}

function List({ owner, page, trouble }: Mine) {
  const { jobs, hasMore, isLoading, loadMore, error } = useMyJobs<Video>({ owner, initialPage: page });
  const stale = error && "The progress cannot be shown right now. Your videos are being made all the same.";
  return (
    <>
      <p role="alert">{jobs.length === 0 && trouble ? trouble : stale}</p>
      <ul className="videos">
        {jobs.map((job) => (
          <li key={job.requestId}>
            <VideoCard job={job} />
          </li>
        ))}
      </ul>
      {hasMore && (
        <button type="button" className="plain" disabled={isLoading} onClick={loadMore}>
          Older videos
        </button>
      )}
    </>
  );
}

/** Fetch a stream token. Called before the first connection, and again shortly before a token expires. */
async function getToken(): Promise<string | null> {
  const response = await fetch("/token", { method: "POST" });
  if (!response.ok) throw new Error(`/token answered ${response.status}`);
  const { token } = await response.json();
  return token;
}
