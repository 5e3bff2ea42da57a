/**
 * The event stream, one for the whole browser: the tab that holds a Web Lock owns the connection and shares it.
 * Where there are no Web Locks (plain HTTP, not loopback) only the visible tab connects.
 */
import { createStore } from "./store.js";
import { openStream } from "./event-stream.js";

/**
 * @typedef {{ state: "connecting" | "live" | "lost", since: number }} Liveness
 * @typedef {{ items: any[], seen: number }} QueryBatch `seen`: how many came, those left out included
 */

/** Whether the stream flows. @type {import("./store.js").Store<Liveness>} */
export const liveness = createStore({ state: "connecting", since: Date.now() });
/** The latest summary. @type {import("./store.js").Store<any>} */
export const summary = createStore(null);

const ALWAYS = ["finding", "summary"];
const WANT_EVERY_MS = 10_000;
const WANT_KEPT_MS = 30_000;

const listeners = { finding: new Set(), query: new Set() };
/** Tabs that look at queries, and when they last said so; kept by the owner. */
const wanting = new Map();
const tab = Math.random().toString(36).slice(2);
const shares = typeof navigator !== "undefined" && Boolean(navigator.locks) && typeof BroadcastChannel !== "undefined";
const channel = shares ? new BroadcastChannel("pgprism-live") : null;

let stream = null;
let owner = false;
let wantsQueries = 0;

/** Starts to listen; called once. */
export function startLive() {
  if (!shares) return followVisibility();
  channel.onmessage = ({ data }) => heard(data);
  addEventListener("pagehide", () => say({ type: "want", tab, queries: false }));
  setInterval(keepWanting, WANT_EVERY_MS);
  say({ type: "hello" });
  navigator.locks.request("pgprism-live", () => {
    owner = true;
    connect();
    return new Promise(() => {});
  });
}

/**
 * Calls `listener` for each finding that is first seen or changes its status.
 * @param {(finding: any) => void} listener
 * @returns {() => void} stops it
 */
export function onFinding(listener) {
  listeners.finding.add(listener);
  return () => listeners.finding.delete(listener);
}

/**
 * Calls `listener` for finished queries, several times a second; they flow only while somebody listens.
 * @param {(batch: QueryBatch) => void} listener
 * @returns {() => void} stops it
 */
export function onQueries(listener) {
  listeners.query.add(listener);
  wantsQueries += 1;
  if (wantsQueries === 1) want(true);
  return () => {
    listeners.query.delete(listener);
    wantsQueries -= 1;
    if (wantsQueries === 0) want(false);
  };
}

/** Connects again after somebody logged in. */
export function reconnect() {
  if (stream) connect();
}

function followVisibility() {
  owner = true;
  const follow = () => (document.hidden ? disconnect() : connect());
  document.addEventListener("visibilitychange", follow);
  follow();
}

function connect() {
  stream?.close();
  stream = openStream([...ALWAYS, ...(wanting.size > 0 ? ["query"] : [])], {
    onState: (state) => share({ type: "state", state, since: Date.now() }),
    onEvent: (kind, data) => share({ type: kind, data }),
  });
}

function disconnect() {
  stream?.close();
  stream = null;
}

function want(queries) {
  noteWant({ tab, queries });
  say({ type: "want", tab, queries });
}

function keepWanting() {
  if (wantsQueries > 0) want(true);
  if (!owner) return;
  for (const [other, at] of wanting) {
    if (Date.now() - at > WANT_KEPT_MS) noteWant({ tab: other, queries: false });
  }
}

/** The owner connects anew when the first tab wants queries, and when the last no longer does. */
function noteWant({ tab: who, queries }) {
  const before = wanting.size > 0;
  if (queries) wanting.set(who, Date.now());
  else wanting.delete(who);
  if (owner && stream && before !== wanting.size > 0) connect();
}

const say = (message) => channel?.postMessage(message);

function share(message) {
  say(message);
  heard(message);
}

function heard(message) {
  if (message.type === "state") liveness.set({ state: message.state, since: message.since });
  else if (message.type === "summary") summary.set(message.data);
  else if (message.type === "finding" || message.type === "query") {
    for (const listener of [...listeners[message.type]]) listener(message.data);
  } else if (message.type === "want") noteWant(message);
  else if (message.type === "hello" && owner) say({ type: "state", ...liveness.get() });
}
