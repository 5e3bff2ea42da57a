import { createStore } from "./store.js";

/** What the page's one live region says. @type {import("./store.js").Store<string>} */
export const announcement = createStore("");

const PAUSE_MS = 5_000;
let waiting = null;
let timer = 0;

/**
 * Says something to who listens to the page: at most one message in 5 s, the latest one.
 * @param {string} text
 */
export function announce(text) {
  waiting = text;
  if (!timer) speak();
}

function speak() {
  timer = 0;
  if (waiting === null) return;
  announcement.set(waiting);
  waiting = null;
  timer = setTimeout(speak, PAUSE_MS);
}
