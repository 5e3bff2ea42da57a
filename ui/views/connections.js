import { html } from "../lib/preact.js";
import { useQueryParams } from "../lib/router.js";
import { listClass, useList } from "../lib/useList.js";
import { View } from "../lib/view.js";
import { Empty, ListChanges, Skeleton, Trouble } from "../lib/parts.js";
import { Table } from "../lib/table.js";
import { count, exactTime, lasting, plural } from "../lib/words.js";

/** From here on an idle transaction is marked: it holds locks and keeps old rows. */
const IDLE_IN_TRANSACTION_MS = 1_000;

/** Client connections that are open. */
export default function Connections() {
  const [{ q }, change] = useQueryParams();
  const list = useList("connections", { q }, ({ id }) => String(id));
  const rows = waitingFirst(list.items);
  return html`<${View} name="connections" title="Connections" tab=${plural(list.total ?? rows.length, "connection")}
    aside=${html`<${ListChanges} list=${list} noun="open" />`}>
    <${Trouble} error=${list.error} staleSince=${list.staleSince} retry=${list.sortAgain} />
    ${list.loading && html`<${Skeleton} rows=${8} />`}
    ${!list.loading && !list.error && rows.length === 0 && html`<${Nothing} q=${q} clear=${() => change({ q: null })} />`}
    ${rows.length > 0 &&
    html`<div class=${listClass(list)}>
      <${Table} label="Connections" columns=${COLUMNS} rows=${rows} rowId=${({ id }) => String(id)} total=${list.total}
        onEnd=${list.hasMore ? list.more : undefined} />
    </div>`}
  <//>`;
}

function Nothing({ q, clear }) {
  if (!q) return html`<${Empty}>No client is connected.<//>`;
  return html`<${Empty}>No connection matches ${q}. <button type="button" class="link" onClick=${clear}>Clear the filter</button>.<//>`;
}

const idlesInTransaction = ({ state, since }) =>
  state.startsWith("idle in transaction") && Date.now() - Date.parse(since) > IDLE_IN_TRANSACTION_MS;

/** Long idle transactions stand first; the others keep their order. */
function waitingFirst(items) {
  return [...items.filter(idlesInTransaction), ...items.filter((item) => !idlesInTransaction(item))];
}

const COLUMNS = [
  { key: "client", label: "client", narrow: "name", cell: ({ client, user, database }) => html`${client} <span class="muted narrow-only">${user} · ${database}</span>` },
  { key: "user", label: "user", width: "9%", cell: ({ user }) => user },
  { key: "database", label: "database", width: "9%", cell: ({ database }) => database },
  { key: "application", label: "application", width: "11%", cell: ({ application }) => application || html`<span class="muted">–</span>` },
  { key: "state", label: "state", width: "176px", narrow: "figure", cell: State },
  { key: "for", label: "for", number: true, width: "64px", narrow: "figure", cell: ({ since }) => html`<span title=${exactTime(since)}>${lasting(Date.now() - Date.parse(since))}</span>` },
  { key: "queries", label: "queries", number: true, width: "80px", narrow: "figure", cell: ({ queries }) => count(queries) },
  { key: "transactions", label: "transactions", number: true, width: "100px", cell: ({ transactions }) => count(transactions) },
  { key: "tls", label: "TLS", width: "48px", cell: ({ tls }) => (tls ? "yes" : html`<span class="muted">no</span>`) },
  { key: "observed", label: "observed", width: "88px", cell: ({ observed }) => (observed ? "yes" : html`<span class="bad">no</span>`) },
];

function State(connection) {
  const { state } = connection;
  if (!idlesInTransaction(connection)) return state;
  return html`<span class="bad" title="It holds its locks, and VACUUM cannot remove old rows."><span aria-hidden="true">▲</span> ${state}</span>`;
}
