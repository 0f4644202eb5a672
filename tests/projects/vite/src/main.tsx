/**
 * One job, watched by the hook and by a plain client or, with the stream token `?token=`, the jobs of its user; `?server=` is
 * where Hookcast is.
 */

import { createHookcast, type Hookcast, type Job } from "hookcast";
import { HookcastProvider, useFalJob, useHookcast } from "hookcast/react";
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Mine } from "./mine.jsx";

type Video = { video: { url: string } };

const query = new URLSearchParams(location.search);
const url = query.get("server") ?? "/";
const token = query.get("token");
const client: Hookcast = createHookcast({ url });

function App() {
  const hookcast = useHookcast();
  const [requestId, setRequestId] = useState<string | null>(null);
  const generate = async () => {
    const submitted = await hookcast.submit<Video>({ endpointId: "fal-ai/wan-t2v", input: { prompt: "a lighthouse" } });
    setRequestId(submitted.requestId);
  };
  return (
    <>
      <button type="button" onClick={() => void generate()}>
        Generate
      </button>
      <Hook requestId={requestId} />
      {requestId && <Plain requestId={requestId} />}
    </>
  );
}

function Hook({ requestId }: { requestId: string | null }) {
  const [told, setTold] = useState<string[]>([]);
  const { status, job, transport, isPolling } = useFalJob<Video>({
    requestId,
    onCompleted: ({ result }) => setTold((urls) => [...urls, result.video.url]),
  });
  return (
    <p data-testid="hook" data-status={status} data-transport={transport} data-polling={isPolling}>
      {job?.result?.video.url} {told.length}
    </p>
  );
}

function Plain({ requestId }: { requestId: string }) {
  const [job, setJob] = useState<Job<Video> | null>(null);
  useEffect(() => client.watch<Video>(requestId, { onUpdate: setJob }), [requestId]);
  return (
    <p data-testid="plain" data-status={job?.status}>
      {job?.result?.video.url}
    </p>
  );
}

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no root");
createRoot(root).render(
  <StrictMode>
    <HookcastProvider url={url} getToken={() => token}>
      {token ? <Mine /> : <App />}
    </HookcastProvider>
  </StrictMode>,
);
