// The backend of an app before it has Hookcast's library: submits, and answers a page that polls. It has its states from Hookcast,
// where another one has them from its own table.
import express from "express";

const { HOOKCAST_URL, HOOKCAST_API_KEY, PORT } = process.env;
const headers = { "Content-Type": "application/json", Authorization: `Bearer ${HOOKCAST_API_KEY}` };
const app = express();

app.post("/api/generate", express.json(), async ({ body }, response) => {
  const endpointId = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
  const submission = JSON.stringify({ endpointId, input: { prompt: body.prompt } });
  const answer = await fetch(`${HOOKCAST_URL}/api/fal-jobs`, { method: "POST", headers, body: submission });
  const { requestId } = await answer.json();
  response.status(answer.status).json({ requestId });
});

app.get("/api/fal-jobs/:requestId", async ({ params }, response) => {
  const answer = await fetch(`${HOOKCAST_URL}/api/fal-jobs/${params.requestId}`, { headers });
  const { requestId, status, result, error } = await answer.json();
  response.status(answer.status).json({ requestId, status, result, error });
});

app.listen(PORT);
