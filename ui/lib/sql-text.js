/** SQL as tokens and as lines: one linear scan, no regular expression over the text. */

/**
 * @typedef {"keyword" | "function" | "string" | "comment" | "identifier" | "number" | "mark" | "space"} TokenKind
 * @typedef {{ kind: TokenKind, text: string }} Token
 */

const KEYWORDS = new Set(
  `ALL ALTER ANALYZE AND ANY ARRAY AS ASC BEGIN BETWEEN BY CASCADE CASE CAST CLOSE COLLATE COMMIT CONFLICT CONSTRAINT COPY
  CREATE CROSS CURSOR DECLARE DEFAULT DELETE DESC DISTINCT DO DROP ELSE END ESCAPE EXCEPT EXISTS EXPLAIN FALSE FETCH FILTER
  FIRST FOR FROM FULL GROUP HAVING ILIKE IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY LAST LATERAL LEFT LIKE LIMIT LOCK
  LOCKED MATERIALIZED NATURAL NEXT NO NOT NOTHING NOWAIT NULL NULLS OF OFFSET ON ONLY OR ORDER OUTER OVER PARTITION PRIMARY
  RECURSIVE REFERENCES RELEASE RETURNING RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT SET SHARE SHOW SIMILAR SKIP SOME TABLE THEN
  TO TRANSACTION TRUE TRUNCATE UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHERE WINDOW WITH`.split(/\s+/),
);
const BREAKS = new Set(
  "SELECT FROM WHERE JOIN LEFT RIGHT INNER FULL CROSS GROUP ORDER LIMIT OFFSET UNION SET VALUES RETURNING HAVING ON".split(" "),
);
const JOIN_WORDS = new Set(["LEFT", "RIGHT", "INNER", "FULL", "CROSS", "OUTER"]);

const isSpace = (c) => c === " " || c === "\n" || c === "\t" || c === "\r";
const isDigit = (c) => c >= "0" && c <= "9";
const isWord = (c) => (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || c === "_" || isDigit(c) || c > "\u007f";

/**
 * @param {string} sql
 * @returns {Token[]} whose texts together are `sql`
 */
export function scan(sql) {
  const tokens = [];
  let at = 0;
  while (at < sql.length) {
    const end = Math.max(at + 1, endOf(sql, at));
    const text = sql.slice(at, end);
    tokens.push({ kind: kindOf(sql, text, end), text });
    at = end;
  }
  return tokens;
}

/** Where the token that begins at `at` ends. */
function endOf(sql, at) {
  const c = sql[at];
  if (isSpace(c)) return skip(sql, at, isSpace);
  if (c === "'" || c === '"') return endOfQuoted(sql, at, c);
  if (c === "-" && sql[at + 1] === "-") return endOfLine(sql, at);
  if (c === "/" && sql[at + 1] === "*") return endOfComment(sql, at);
  if (c === "$" || c === "%") return skip(sql, at + 1, isWord);
  return isWord(c) ? skip(sql, at, isWord) : at + 1;
}

function skip(sql, from, belongs) {
  let at = from;
  while (at < sql.length && belongs(sql[at])) at += 1;
  return at;
}

function endOfQuoted(sql, from, quote) {
  let at = from + 1;
  for (;;) {
    const close = sql.indexOf(quote, at);
    if (close < 0) return sql.length;
    if (sql[close + 1] !== quote) return close + 1;
    at = close + 2;
  }
}

function endOfLine(sql, from) {
  const end = sql.indexOf("\n", from);
  return end < 0 ? sql.length : end;
}

function endOfComment(sql, from) {
  const end = sql.indexOf("*/", from + 2);
  return end < 0 ? sql.length : end + 2;
}

function kindOf(sql, text, end) {
  const c = text[0];
  if (isSpace(c)) return "space";
  if (c === "'" || c === "$" || c === "?" || (c === "%" && text.length > 1)) return "string";
  if (c === '"') return "identifier";
  if (text.startsWith("--") || text.startsWith("/*")) return "comment";
  if (isDigit(c)) return "number";
  if (!isWord(c)) return "mark";
  if (KEYWORDS.has(text.toUpperCase())) return "keyword";
  return sql[end] === "(" ? "function" : "identifier";
}

/**
 * @typedef {{ indent: number, tokens: Token[], columns: number }} Line
 *   `columns`: how many columns a select list holds that is long enough to fold, else 0
 */

/**
 * SQL in lines: a clause a line, two spaces a bracket level, AND and OR on their own line.
 * @param {string} sql
 * @returns {Line[]}
 */
export function layOut(sql) {
  const lines = [];
  const brackets = [];
  let subqueries = 0;
  let line = newLine(0);
  let clause = "";
  let before = "";
  const finish = (indent) => {
    if (line.tokens.some((token) => token.kind !== "space")) lines.push(trimmed(line));
    line = newLine(indent);
  };
  for (const token of scan(sql)) {
    const word = token.kind === "keyword" ? token.text.toUpperCase() : "";
    const inList = brackets.length > 0 && !brackets[brackets.length - 1];
    if (token.text === ")" && brackets.pop()) {
      subqueries -= 1;
      finish(subqueries);
    } else if (word === "SELECT" && before === "(") {
      brackets[brackets.length - 1] = true;
      subqueries += 1;
      finish(subqueries);
    } else if (!inList && startsLine(word, before)) finish(subqueries);
    else if (!inList && (word === "AND" || word === "OR") && clause !== "BETWEEN") finish(subqueries + 0.5);
    if (token.text === "(") brackets.push(false);
    if (word === "SELECT" || word === "WHERE" || word === "BETWEEN" || word === "AND") clause = word;
    line.tokens.push(token.kind === "space" ? SPACE : token);
    if (token.kind !== "space") before = word || token.text;
  }
  finish(0);
  return lines.map((one) => ({ ...one, columns: countColumns(one.tokens) }));
}

const SPACE = { kind: /** @type {TokenKind} */ ("space"), text: " " };
const newLine = (indent) => ({ indent, tokens: [] });

function startsLine(word, before) {
  if (!BREAKS.has(word)) return false;
  if (word === "JOIN") return !JOIN_WORDS.has(before);
  if (word === "FROM") return before !== "DISTINCT";
  if (word === "SET") return before !== "" && before !== "UPDATE";
  if (word === "ON") return before === "INSERT";
  return before !== "";
}

function trimmed(line) {
  const tokens = [...line.tokens];
  while (tokens[0]?.kind === "space") tokens.shift();
  while (tokens[tokens.length - 1]?.kind === "space") tokens.pop();
  return { ...line, tokens };
}

const FOLD_ABOVE = 8;

/** Columns of a select list that is worth folding, else 0. */
function countColumns(tokens) {
  if (tokens[0]?.text.toUpperCase() !== "SELECT") return 0;
  let depth = 0;
  let columns = 1;
  for (const { text } of tokens) {
    if (text === "(") depth += 1;
    else if (text === ")") depth -= 1;
    else if (text === "," && depth === 0) columns += 1;
  }
  return columns > FOLD_ABOVE ? columns : 0;
}

const TAIL_FROM = new Set(["WHERE", "SET", "VALUES", "GROUP", "ORDER", "LIMIT"]);
const TAIL_CHARACTERS = 200;

/**
 * What tells a shape from others of the same tables: its text from WHERE on, without quotes and qualifiers.
 * @param {string} sql
 * @returns {string} where there is no such clause, what follows the first word
 */
export function shapeTail(sql) {
  const tokens = scan(sql);
  const start = tokens.findIndex(({ kind, text }) => kind === "keyword" && TAIL_FROM.has(text.toUpperCase()));
  let tail = "";
  for (let at = start < 0 ? 2 : start; at < tokens.length && tail.length < TAIL_CHARACTERS; at += 1) {
    const qualifies = tokens[at].kind === "identifier" && tokens[at + 1]?.text === ".";
    if (qualifies) at += 1;
    else tail += tokens[at].kind === "identifier" ? tokens[at].text.replaceAll('"', "") : tokens[at].text;
  }
  return tail.slice(0, TAIL_CHARACTERS);
}
