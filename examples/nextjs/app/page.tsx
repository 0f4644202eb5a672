import { visitorSentence } from "hookcast/next";
import { Suspense } from "react";
import { hookcast, hookcastUrl } from "@/lib/hookcast";
import { currentUser } from "@/lib/session";
import type { Video } from "@/lib/video";
import { VideoForm } from "./video-form";
import { Videos } from "./videos";

const SHOWN = 20;

export default function Page() {
  return (
    <main>
      <h1>Make a video</h1>
      <VideoForm />
      <Suspense fallback={<p className="quiet">Looking for your videos…</p>}>
        <MyVideos />
      </Suspense>
    </main>
  );
}

/** The user's jobs, from Hookcast: they survive a reload and appear on the user's other devices. */
async function MyVideos() {
  const user = await currentUser();
  if (!user) return <p className="quiet">Your videos will be here.</p>;
  const page = await hookcast().list<Video>({ owner: user.id, limit: SHOWN }).catch(visitorSentence);
  const given = typeof page === "string" ? { page: null, trouble: page } : { page, trouble: null };
  return <Videos key={user.id} url={hookcastUrl()} owner={user.id} {...given} />;
}
