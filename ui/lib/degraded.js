import { count } from "./words.js";

/** What each kind of loss means and what to do; the reason follows in brackets. @type {Record<string, string>} */
const WORDS = {
  event_dropped: "queries did not reach the analysis: findings of their requests are held back. See limits in the configuration",
  session_unobserved: "Sessions are relayed but not observed",
  unit_incomplete: "Some requests lack statements: nothing is concluded from them",
  slow_log_dropped: "The slow-query log left lines out",
  fingerprints_full: "There are more shapes than limits.fingerprints_max: the rest is one shape, other",
  decode_error_client_to_upstream: "A client sent what could not be read; its traffic went on unobserved",
  decode_error_upstream_to_client: "PostgreSQL sent what could not be read; its traffic went on unobserved",
  analysis_stuck: "The analysis is behind: findings and requests are older than the figures of queries",
};

/**
 * The reasons of a summary as sentences.
 * @param {{ degraded: string[], dropped: number }} summary
 * @returns {string[]}
 */
export function degradedInWords({ degraded, dropped }) {
  const sentences = degraded.map((entry) => {
    const [kind, ...reason] = entry.split(": ");
    if (kind === "upstream_down") return null;
    const words = WORDS[kind] ?? kind.replaceAll("_", " ");
    const start = kind === "event_dropped" ? `${count(dropped)} ${words}` : words;
    return `${start}${reason.length ? ` (${reason.join(": ").replaceAll("_", " ")})` : ""}.`;
  });
  return [...new Set(sentences.filter(Boolean))];
}
