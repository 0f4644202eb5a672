import { Suspense } from "react";
import { hookcastUrl, jobsOf } from "@/lib/hookcast";
import { sentence } from "@/lib/sentences";
import { currentUser } from "@/lib/session";
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
  const jobs = await jobsOf(user.id, { limit: SHOWN }).catch(sentence);
  if (typeof jobs === "string") return <p role="alert">{jobs}</p>;
  return <Videos key={user.id} url={hookcastUrl()} jobs={jobs} />;
}
