import { html, useMemo } from "../lib/preact.js";
import { summary } from "../lib/live.js";
import { useQueryParams } from "../lib/router.js";
import { useStore } from "../lib/store.js";
import { useApi } from "../lib/useApi.js";
import { View } from "../lib/view.js";
import { lastMinutes, sumColumns } from "../lib/heat.js";
import { PhaseBar, Section, Skeleton, Trouble, phasesTotal } from "../lib/parts.js";
import { ms } from "../lib/words.js";
import { Figures } from "./overview/figures.js";
import { FindingRows } from "./overview/finding-rows.js";
import { HeatMap } from "./overview/heat-map.js";
import { TopShapes } from "./overview/top-shapes.js";
import { Waiting } from "./overview/waiting.js";

const MINUTES = [5, 15, 60];
const HISTORY_EVERY_MS = 5_000;

/** What happens, where the time goes, and what to do about it. */
export default function Overview() {
  const [params, change] = useQueryParams();
  const minutes = MINUTES.includes(Number(params.minutes)) ? Number(params.minutes) : 15;
  const asked = useApi("summary");
  const now = useStore(summary) ?? asked.data;
  const history = useApi("history", {}, { refreshMs: HISTORY_EVERY_MS });
  const time = useMemo(() => lastMinutes(history.data?.items ?? [], minutes), [history.data, minutes]);
  const sums = useMemo(() => sumColumns(time.columns), [time]);

  const choose = html`<select aria-label="Time" value=${minutes} onChange=${(event) => change({ minutes: event.currentTarget.value })}>
    ${MINUTES.map((choice) => html`<option key=${choice} value=${choice}>last ${choice} min</option>`)}
  </select>`;

  if (!now) {
    return html`<${View} name="overview" title="Overview" aside=${choose}>
      <${Trouble} error=${asked.error} retry=${asked.reload} />
      ${asked.loading && html`<${Skeleton} rows=${12} />`}
    <//>`;
  }
  if (now.queries === 0) {
    return html`<${View} name="overview" title="Overview"><${Waiting} listen=${now.listeners[0].listen} /><//>`;
  }
  return html`<${View} name="overview" title="Overview" aside=${choose}>
    <${Figures} now=${now} errors=${sums.errors} minutes=${minutes} />
    <div class="overview">
      <${WhereTimeGoes} phases=${sums.phases} minutes=${minutes} stale=${history.staleSince} loading=${history.loading} />
      <${FindingRows} queries=${now.queries} />
      <${HeatMap} start=${time.start} end=${time.end} columns=${time.columns} />
      <${TopShapes} />
    </div>
  <//>`;
}

function WhereTimeGoes({ phases, minutes, stale, loading }) {
  const total = phasesTotal(phases);
  return html`<${Section} title="Where the time goes" note=${total > 0 && `${ms(total)} in requests`} class=${stale ? "time stale" : "time"}>
    <div class="section-body">
      ${total > 0 || loading ? html`<${PhaseBar} phases=${phases} legend />` : html`<p class="muted">No queries in the last ${minutes} min.</p>`}
    </div>
  <//>`;
}
