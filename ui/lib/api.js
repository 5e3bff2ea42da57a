/** Questions to the admin address that served this page. */

import { createStore } from "./store.js";

const BASE = "/api/v1/";

/** Whether a token is needed first: the page shows the login then. */
export const locked = createStore(false);

/** An answer that is not 2xx, or none at all (`status` 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }

  /** Whether a token is needed first. */
  get needsLogin() {
    return this.status === 401;
  }

  /** Whether the process cannot be reached: it may come back. */
  get unreachable() {
    return this.status === 0 || this.status === 502 || this.status === 503;
  }
}

/**
 * Where `path` is asked for, with the parameters that have a value.
 * @param {string} path below `/api/v1/`
 * @param {Record<string, string | number | boolean | null | undefined>} [params]
 * @returns {string}
 */
export function apiUrl(path, params = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const query = search.toString();
  return BASE + path + (query ? `?${query}` : "");
}

/**
 * The JSON at `path`.
 * @param {string} path below `/api/v1/`
 * @param {Record<string, string | number | boolean | null | undefined>} [params]
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<any>}
 */
export function get(path, params, { signal } = {}) {
  return ask(apiUrl(path, params), { signal, headers: { Accept: "application/json" } });
}

/**
 * Changes something; the header is what a page of another site cannot send.
 * @param {string} path below `/api/v1/`
 * @param {unknown} [body] sent as JSON
 * @returns {Promise<any>} what was answered, or null for an empty answer
 */
export function post(path, body) {
  const headers = { "X-Pgprism": "1" };
  if (body === undefined) return ask(BASE + path, { method: "POST", headers });
  headers["Content-Type"] = "application/json";
  return ask(BASE + path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "pgprism does not answer.");
  }
  const text = await response.text();
  if (response.status === 401) locked.set(true);
  if (!response.ok) throw refused(response.status, text);
  return text ? JSON.parse(text) : null;
}

function refused(status, text) {
  try {
    const { code, message } = JSON.parse(text).error;
    return new ApiError(status, code, message);
  } catch {
    return new ApiError(status, "unknown", `pgprism answered ${status}.`);
  }
}
