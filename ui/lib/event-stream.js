import { createBatcher } from "./batch.js";
import { apiUrl } from "./api.js";
import { retryAfter } from "./schedule.js";

/**
 * An EventSource that comes back by itself, with its queries in batches.
 * @param {string[]} kinds
 * @param {{ onState: (state: "connecting" | "live" | "lost") => void, onEvent: (kind: string, data: any) => void }} options
 * @returns {{ close: () => void }}
 */
export function openStream(kinds, { onState, onEvent }) {
  let source = null;
  let timer = 0;
  let failures = 0;
  const batcher = createBatcher((batch) => onEvent("query", batch));

  function open() {
    source = new EventSource(apiUrl("stream", { events: kinds.join(",") }));
    source.onopen = () => {
      failures = 0;
      onState("live");
    };
    source.onerror = fail;
    for (const kind of kinds) source.addEventListener(kind, ({ data }) => received(kind, JSON.parse(data)));
  }

  function received(kind, data) {
    if (kind === "query") batcher.add(data);
    else onEvent(kind, data);
  }

  function fail() {
    source.close();
    failures += 1;
    onState("lost");
    timer = setTimeout(open, retryAfter(failures));
  }

  open();
  return {
    close() {
      clearTimeout(timer);
      batcher.stop();
      source.close();
    },
  };
}
