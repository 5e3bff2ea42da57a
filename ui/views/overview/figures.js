import { html, useEffect, useRef, useState } from "../../lib/preact.js";
import { summary } from "../../lib/live.js";
import { useApi } from "../../lib/useApi.js";
import { count, figure, percent, plural } from "../../lib/words.js";

const RATE_OVER_MS = 5_000;

/** The page's first line: what happens now, and whether all of it is seen. @param {{ now: any, errors: number, minutes: number }} props */
export function Figures({ now, errors, minutes }) {
  const rate = useRate();
  const { data: units } = useApi("units", { limit: 1 });
  const observed = now.queries > 0 ? percent(now.queries - now.dropped, now.queries) : null;
  return html`<dl class="figures">
    <${Figure} value=${rate === null ? "–" : figure(rate)} name="queries/s" title="mean of the last five seconds" />
    <${Figure} value=${count(errors)} name=${errors === 1 ? "error" : "errors"} title=${`in the last ${minutes} min`} bad=${errors > 0} />
    ${typeof units?.total === "number" &&
    html`<${Figure} value=${count(units.total)} name="requests kept" title="requests and other units of work that are kept to look at" />`}
    <${Figure} value=${count(now.connections)} name=${now.connections === 1 ? "connection" : "connections"} title="open client connections" />
    ${observed && html`<${Figure} value=${observed} name="observed" title=${`${plural(now.dropped, "query", "queries")} did not reach the analysis`} />`}
  </dl>`;
}

function Figure({ value, name, title, bad = false }) {
  return html`<div title=${title}><dd class=${bad ? "bad" : ""}>${value}</dd><dt>${name}</dt></div>`;
}

/** Queries a second, from the summaries of the stream. */
function useRate() {
  const [rate, setRate] = useState(null);
  const seen = useRef([]);
  useEffect(
    () =>
      summary.subscribe(() => {
        const now = { at: Date.now(), queries: summary.get().queries };
        const before = seen.current.filter(({ at, queries }) => now.at - at <= RATE_OVER_MS && queries <= now.queries);
        seen.current = [...before, now];
        const [first] = seen.current;
        if (now.at > first.at) setRate((1000 * (now.queries - first.queries)) / (now.at - first.at));
      }),
    [],
  );
  return rate;
}
