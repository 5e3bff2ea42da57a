import { html, useEffect, useMemo, useRef, useState } from "../lib/preact.js";
import { onQueries } from "../lib/live.js";
import { useQueryParams } from "../lib/router.js";
import { parseFilter } from "../lib/filter.js";
import { View } from "../lib/view.js";
import { Empty } from "../lib/parts.js";
import { announce } from "../lib/announce.js";
import { isReading } from "../lib/reading.js";
import { Table } from "../lib/table.js";
import { count, figure, plural } from "../lib/words.js";
import { columns } from "./live/columns.js";
import { Panel } from "./live/panel.js";
import { addBatch, emptyTape } from "./live/tape.js";

const TOP_PX = 8;
const SECOND_MS = 1_000;

/** Queries as they finish, newest on top. */
export default function Live() {
  const [{ q = "" }] = useQueryParams();
  const filter = useMemo(() => parseFilter(q), [q]);
  const [stopped, setStopped] = useState(false);
  const [chosen, setChosen] = useState(null);
  const cells = useMemo(() => columns(setChosen), []);
  const { tape, shown, held, rate, resume } = useTape(filter, stopped);

  function toggle() {
    announce(stopped ? "Goes on" : "Paused");
    if (stopped) resume();
    setStopped(!stopped);
  }

  const aside = html`<span class="live-tools">
    <span class="muted figure">${stopped || held > 0 ? `Paused: ${count(held)} new` : `showing ${figure(rate.shown)} of ${plural(rate.seen, "query", "queries")} a second`}</span>
    <button type="button" class="button" data-key="p" aria-pressed=${stopped} onClick=${toggle}>${stopped ? "Go on" : "Pause"} <kbd>p</kbd></button>
  </span>`;

  return html`<${View} name="live" title="Live" aside=${aside}>
    ${shown.length === 0
      ? html`<${Empty}>${tape.seen > 0 && q ? `None of ${plural(tape.seen, "query", "queries")} matches ${q}.` : "Waiting for queries. They appear here as they finish."}<//>`
      : html`<div class="list live-list">
          <${Table} label="Queries as they finish, newest first" columns=${cells} rows=${shown} rowId=${({ key }) => key}
            rowProps=${(event) => ({ "data-fingerprint": event.fingerprint, "aria-current": chosen?.key === event.key })} />
        </div>`}
    ${chosen && html`<${Panel} event=${chosen} close=${() => setChosen(null)} />`}
  <//>`;
}

/** The last 500 that pass the filter; what comes while somebody reads waits. */
function useTape(filter, stopped) {
  const [tape, setTape] = useState(emptyTape);
  const [shown, setShown] = useState([]);
  const [rate, setRate] = useState({ shown: 0, seen: 0 });
  const latest = useRef(tape);
  const passing = useRef(filter);
  passing.current = filter;
  const holds = useRef(stopped);
  holds.current = stopped;

  useEffect(() => {
    let second = { shown: 0, seen: 0 };
    const stop = onQueries((batch) => {
      const before = latest.current;
      latest.current = addBatch(before, batch, passing.current);
      second.seen += batch.seen;
      second.shown += latest.current.passed - before.passed;
      setTape(latest.current);
      if (!holds.current && scrollY <= TOP_PX && !isReading()) setShown(latest.current.items);
    });
    const timer = setInterval(() => {
      setRate(second);
      second = { shown: 0, seen: 0 };
    }, SECOND_MS);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, []);
  useEffect(() => {
    latest.current = emptyTape();
    setTape(latest.current);
    setShown([]);
  }, [filter]);

  const newest = shown[0]?.key ?? 0;
  const held = tape.items.filter(({ key }) => key > newest).length;
  return { tape, shown, held, rate, resume: () => setShown(latest.current.items) };
}
