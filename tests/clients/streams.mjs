// What a page writes to watch jobs, with nothing of Hookcast's. Chromium runs this file as it is; in Node, see node.mjs.
globalThis.watchEvents = (url, report) => {
  const source = new EventSource(url);
  const pass = (event) => report({ event: event.type, id: event.lastEventId, data: event.data });
  source.addEventListener("job", pass);
  source.addEventListener("end", pass);
  source.onopen = () => report({ event: "open" });
  source.onerror = () => report({ event: "error", data: String(source.readyState) });
  return source;
};

globalThis.openSocket = (url, report) => {
  const socket = new WebSocket(url, "hookcast.v1");
  socket.onopen = () => report({ event: "open", data: socket.protocol });
  socket.onmessage = ({ data }) => report({ event: "message", data });
  socket.onclose = ({ code, reason }) => report({ event: "close", id: String(code), data: reason });
  return socket;
};
