"use client";

import type { Job } from "hookcast";
import { HookcastProvider } from "hookcast/react";
import type { Video } from "@/lib/video";
import { VideoCard } from "./video-card";

/** The user's videos. All cards share the provider's connection to Hookcast. */
export function Videos({ url, jobs }: { url: string; jobs: readonly Job<Video>[] }) {
  return (
    <HookcastProvider url={url} getToken={getToken}>
      <ul className="videos">
        {jobs.map((job) => (
          <li key={job.requestId}>
            <VideoCard known={job} />
          </li>
        ))}
      </ul>
    </HookcastProvider>
  );
}

/** Fetch a stream token. Called before the first connection, and again shortly before a token expires. */
async function getToken(): Promise<string | null> {
  const response = await fetch("/token", { method: "POST" });
  if (!response.ok) throw new Error(`/token answered ${response.status}`);
  const { token } = await response.json();
  return token;
}
