import { scan } from "./sql-text.js";

/** Words that stand before a table. */
const BEFORE_TABLE = new Set(["FROM", "INTO", "UPDATE", "JOIN", "TABLE"]);
const VERBS_WITH_TABLE = new Set(["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]);

const names = new Map();
const NAMES_MAX = 2_000;

/**
 * What a statement is called in a list: its verb and its first table, `SELECT shop_book`.
 * @param {string} query normalised text, perhaps cut
 * @returns {string}
 */
export function statementName(query) {
  const known = names.get(query);
  if (known !== undefined) return known;
  const name = nameOf(query);
  if (names.size >= NAMES_MAX) names.clear();
  names.set(query, name);
  return name;
}

function nameOf(query) {
  if (!query) return "text not kept";
  const tokens = scan(query).filter(({ kind }) => kind !== "space" && kind !== "comment");
  const verb = (tokens[0]?.text ?? "").toUpperCase();
  if (!VERBS_WITH_TABLE.has(verb)) {
    const words = tokens.slice(0, 3).filter(({ kind }) => kind === "keyword" || kind === "identifier");
    return words.map(({ text }) => text).join(" ") || query.slice(0, 40);
  }
  const table = tableOf(tokens);
  return table ? `${verb} ${table}` : verb;
}

/** The first table that is read or written; of a text that was cut before it, the table of the first column. */
function tableOf(tokens) {
  for (let at = 0; at < tokens.length - 1; at += 1) {
    if (!BEFORE_TABLE.has(tokens[at].text.toUpperCase())) continue;
    const name = tokens[at + 1];
    if (name.kind !== "identifier") continue;
    const isQualified = tokens[at + 2]?.text === "." && tokens[at + 3]?.kind === "identifier";
    return unquoted(isQualified ? tokens[at + 3].text : name.text);
  }
  const dot = tokens.findIndex(({ text }) => text === ".");
  return tokens[dot - 1]?.kind === "identifier" ? unquoted(tokens[dot - 1].text) : "";
}

const unquoted = (name) => name.replaceAll('"', "");
