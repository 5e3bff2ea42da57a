import { html, useMemo, useRef, useState } from "./preact.js";
import { dragged, drawnPhases, scaleOf } from "./waterfall-scale.js";
import { ms } from "./words.js";

const HEIGHT_PX = 28;
const PHASES = ["database", "transfer", "client"];

/**
 * All of a unit in one line; a drag chooses what the rows below show.
 * @param {{ fall: import("./waterfall.js").Waterfall, folds: import("./waterfall-scale.js").Interval[], widthPx: number,
 *   view: {fromMs: number, toMs: number}, words: string,
 *   onView: (view: {fromMs: number, toMs: number} | null) => void }} props
 */
export function Strip({ fall, folds, widthPx, view, words, onView }) {
  const scale = useMemo(
    () => scaleOf({ fromMs: 0, toMs: fall.durationMs, widthPx, folds }),
    [fall, folds, widthPx],
  );
  const paths = useMemo(() => pathsOf(fall, scale), [fall, scale]);
  const [drag, setDrag] = useState(null);
  const svg = useRef(null);

  const at = (event) => scale.ms(event.clientX - svg.current.getBoundingClientRect().left);
  const begin = (event) => {
    if (event.button !== 0) return;
    svg.current.setPointerCapture(event.pointerId);
    setDrag({ fromMs: at(event), toMs: at(event) });
  };
  const move = (event) => drag && setDrag({ ...drag, toMs: at(event) });
  const end = (event) => {
    if (!drag) return;
    const chosen = dragged(drag.fromMs, at(event), fall.durationMs);
    setDrag(null);
    if (chosen) onView(chosen);
  };

  const isWhole = view.fromMs <= 0 && view.toMs >= fall.durationMs;
  return html`<svg ref=${svg} class="wf-strip" width=${widthPx} height=${HEIGHT_PX} role="img" aria-label=${words}
    onPointerDown=${begin} onPointerMove=${move} onPointerUp=${end} onPointerCancel=${() => setDrag(null)}
    onDblClick=${() => onView(null)}>
    <title>Drag to zoom, double-click for all</title>
    <defs><pattern id="wf-hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <path class="wf-hatch" d="M0 0V5" />
    </pattern></defs>
    <path class="wf-strip-application" fill="url(#wf-hatch)" d=${paths.application} />
    ${PHASES.map((phase) => html`<path key=${phase} class=${`wf-fill-${phase}`} d=${paths[phase]} />`)}
    ${scale.folds.map((fold) => html`<path key=${fold.startMs} class="wf-zigzag" d=${zigzag(scale, fold, HEIGHT_PX)}><title>${`${ms(fold.endMs - fold.startMs)} idle`}</title></path>`)}
    ${!isWhole && html`<${Outside} scale=${scale} view=${view} />`}
    ${drag && html`<${Chosen} scale=${scale} drag=${drag} />`}
  </svg>`;
}

/** What the rows below do not show. */
function Outside({ scale, view }) {
  const [left, right] = [scale.x(view.fromMs), scale.x(view.toMs)];
  return html`<rect class="wf-outside" x="0" y="0" width=${Math.max(left, 0)} height=${HEIGHT_PX} />
    <rect class="wf-outside" x=${right} y="0" width=${Math.max(scale.widthPx - right, 0)} height=${HEIGHT_PX} />
    <path class="wf-edge" d=${`M${left} 0v${HEIGHT_PX}M${right} 0v${HEIGHT_PX}`} />`;
}

function Chosen({ scale, drag }) {
  const [one, other] = [scale.x(drag.fromMs), scale.x(drag.toMs)];
  return html`<rect class="wf-chosen" x=${Math.min(one, other)} y="0" width=${Math.abs(other - one)} height=${HEIGHT_PX} />`;
}

/** One path a phase, whatever the number of statements. */
function pathsOf(fall, scale) {
  const parts = { application: [], database: [], transfer: [], client: [] };
  const [top, tall] = [4, HEIGHT_PX - 8];
  for (const one of fall.statements) {
    const widthPx = scale.x(one.endMs) - scale.x(one.startMs);
    for (const { phase, startMs, endMs } of drawnPhases(one, widthPx)) {
      const x = scale.x(startMs);
      parts[phase].push(rectangle(x, top, Math.max(scale.x(endMs) - x, 1), tall));
    }
  }
  for (const gap of fall.gaps) {
    const x = scale.x(gap.startMs);
    parts.application.push(rectangle(x, top, scale.x(gap.endMs) - x, tall));
  }
  return Object.fromEntries(Object.entries(parts).map(([phase, all]) => [phase, all.join("")]));
}

const round = (number) => Math.round(number * 100) / 100;
const rectangle = (x, y, width, height) => `M${round(x)} ${y}h${round(width)}v${height}h${-round(width)}z`;

/**
 * The line that stands for folded time.
 * @param {import("./waterfall-scale.js").Scale} scale
 * @param {import("./waterfall-scale.js").Interval} fold
 * @param {number} heightPx
 */
export function zigzag(scale, { startMs, endMs }, heightPx) {
  const [from, to] = [scale.x(startMs), scale.x(endMs)];
  const steps = Math.max(2, Math.round((to - from) / 6));
  const points = Array.from({ length: steps + 1 }, (_, step) => {
    const x = from + ((to - from) * step) / steps;
    return `${round(x)} ${heightPx / 2 + (step % 2 ? 4 : -4)}`;
  });
  return `M${points.join("L")}`;
}
