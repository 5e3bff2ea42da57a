import { html, useEffect, useMemo, useState } from "../lib/preact.js";
import { useQueryParams } from "../lib/router.js";
import { get } from "../lib/api.js";
import { REFRESH_MS, useApi } from "../lib/useApi.js";
import { View } from "../lib/view.js";
import { Empty, Neighbours, PhaseBar, Skeleton, Trouble } from "../lib/parts.js";
import { Waterfall } from "../lib/waterfall-view.js";
import { WaterfallPanel } from "../lib/waterfall-panel.js";
import { paramsOf, stateOf } from "../lib/waterfall-state.js";
import { waterfall } from "../lib/waterfall.js";
import { clock, EVIDENCE, exactTime, ms, plural } from "../lib/words.js";

/** Findings that are fetched for one unit. */
const FINDINGS_MAX = 20;

/** One unit of work, statement by statement. @param {{ params: { id: string } }} props */
export default function Unit({ params }) {
  const [query, change] = useQueryParams();
  const [open, setOpen] = useState(false);
  const asked = useApi(`units/${encodeURIComponent(params.id)}`, {}, { refreshMs: open ? REFRESH_MS : 0 });
  useEffect(() => setOpen(asked.data?.state === "open"), [asked.data?.state]);
  const unit = asked.data;
  const findings = useFindings(unit?.findings);
  const state = useMemo(() => stateOf(query), [query]);
  const onState = (changes) => change(paramsOf(changes));

  if (asked.error?.status === 404) return html`<${Gone} />`;
  if (!unit) {
    return html`<${View} name="unit" title="Request">
      <${Trouble} error=${asked.error} staleSince=${asked.staleSince} retry=${asked.reload} />
      ${asked.loading && html`<${Skeleton} />`}
    <//>`;
  }
  const title = unit.route ?? `Unit ${unit.id}`;
  return html`<${View} name="unit" title=${title} tab=${`${title}, ${ms(unit.duration_ms)}`}
    aside=${html`<span class="finding-price"><${Neighbours} list="units" id=${unit.id} base="/requests" /><b class="finding-cost">${ms(unit.duration_ms)}</b></span>`}>
    <${Facts} unit=${unit} />
    ${unit.incomplete && html`<${Incomplete} />`}
    ${unit.timeline.length === 0
      ? html`<${Empty}>None of its queries was kept.<//>`
      : html`<${WithPanel} unit=${unit} findings=${findings} state=${state} onState=${onState} />`}
  <//>`;
}

function Facts({ unit }) {
  const { started_at: at, queries, shapes, duplicates, evidence, application, database, controller } = unit;
  return html`<ul class="dotted unit-facts">
    <li><time datetime=${at} title=${exactTime(at)}>${clock(at)}</time></li>
    <li>${plural(queries, "query", "queries")} in ${plural(shapes, "shape")}</li>
    ${duplicates > 0 && html`<li>${plural(duplicates, "repeat")}</li>`}
    <li>evidence: ${EVIDENCE[evidence] ?? evidence}</li>
    ${unit.state === "open" && html`<li><b>open</b>, it may still grow</li>`}
    ${controller && html`<li>${controller}</li>`}
    <li class="muted">${[application, database].filter(Boolean).join(", ")}</li>
  </ul>
  <${PhaseBar} phases=${unit.phases} legend />`;
}

function Incomplete() {
  return html`<p class="strip unit-incomplete" role="note"><b>▲ Incomplete:</b> events were dropped or it has more queries than are kept.
    What is shown was seen; nothing is concluded from what is missing.</p>`;
}

function WithPanel({ unit, findings, state, onState }) {
  const fall = useMemo(() => waterfall(unit, { grouped: state.grouped }), [unit, state.grouped]);
  const item = useMemo(() => itemOf(fall, state.selected), [fall, state.selected]);
  const finding = item && findings.find(({ fingerprint, kind }) => fingerprint === item.fingerprint && kind !== "chatty_unit");
  const close = () => {
    onState({ selected: null });
    document.querySelector(`[data-item="${CSS.escape(state.selected)}"]`)?.focus();
  };
  const show = (index) => onState(selectionOf(fall, index));
  return html`<div class=${item ? "wf-with-panel wf-panel-open" : "wf-with-panel"}>
    <${Waterfall} unit=${unit} findings=${findings} state=${state} onState=${onState} />
    ${item && html`<${WaterfallPanel} item=${item} fall=${fall} finding=${finding} onClose=${close} onShow=${show} />`}
  </div>`;
}

/** The item of an id, wherever it stands. */
function itemOf(fall, id) {
  for (const item of fall.items) {
    if (item.id === id) return item;
    const inside = item.children?.find((child) => child.id === id);
    if (inside) return inside;
  }
  return null;
}

/** Selects a statement, in its group if it is in one. */
function selectionOf(fall, index) {
  const around = fall.items.find(({ members }) => members?.some((member) => member.index === index));
  return { selected: around ? around.id : `s${index}` };
}

/** The findings of a unit, as far as they are still known. */
function useFindings(ids) {
  const [findings, setFindings] = useState([]);
  const key = (ids ?? []).join();
  useEffect(() => {
    const abort = new AbortController();
    const wanted = key.split(",").filter(Boolean).slice(0, FINDINGS_MAX);
    Promise.allSettled(wanted.map((id) => get(`findings/${id}`, {}, { signal: abort.signal }))).then((answers) => {
      if (!abort.signal.aborted) setFindings(answers.filter(({ status }) => status === "fulfilled").map(({ value }) => value));
    });
    return () => abort.abort();
  }, [key]);
  return findings;
}

function Gone() {
  return html`<${View} name="unit" title="Request">
    <${Empty} action=${{ href: "/requests", label: "The latest requests" }}>
      This request is no longer kept; pgprism keeps the last 1,000.
    <//>
  <//>`;
}
