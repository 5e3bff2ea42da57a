import { html } from "./preact.js";

const ROW_PX = 24;
const WIDTH_PX = 400;
const LEFT_PX = 12;
const RIGHT_PX = 212;
const NODE_RADIUS_PX = 9;
/** Lines of a fan; more rows than that look the same. */
const FAN_MAX = 4;

const y = (at) => at * ROW_PX + ROW_PX / 2;

/**
 * The diagram of a proof, with the same in words below it.
 * @param {{ diagram: import("./proof.js").Diagram }} props
 */
export function Proof({ diagram }) {
  const { left, right, leftNodes, rightNodes, edges, notes, text } = diagram;
  const height = Math.max(leftNodes.length, rightNodes.length) * ROW_PX;
  const middle = { left: centred(leftNodes, height), right: centred(rightNodes, height) };
  return html`<figure class="proof">
    <div class="proof-heads" aria-hidden="true">
      <${Head} ...${left} /><${Head} ...${right} />
    </div>
    <svg class="proof-svg" width=${WIDTH_PX} height=${height} viewBox=${`0 0 ${WIDTH_PX} ${height}`} role="img" aria-label=${text}>
      ${edges.map((edge, at) => html`<${Edge} key=${at} edge=${edge} fromY=${middle.left(edge.from)} toY=${middle.right(edge.to)} />`)}
      ${leftNodes.map((node, at) => html`<${LeftNode} key=${`l${at}`} node=${node} y=${middle.left(at)} />`)}
      ${rightNodes.map((node, at) => html`<${RightNode} key=${`r${at}`} node=${node} y=${middle.right(at)} />`)}
    </svg>
    ${notes.length > 0 && html`<ul class="proof-notes">${notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>`}
    <figcaption><details><summary>In words</summary>${text}</details></figcaption>
  </figure>`;
}

/** A single node stands in the middle of its side. */
function centred(nodes, height) {
  return nodes.length === 1 ? () => height / 2 : y;
}

function Head({ title, subtitle }) {
  const [table, ...column] = title.split(/(?=\.)/);
  return html`<div><b class="proof-title">${table}<wbr />${column}</b><span class="muted">${subtitle}</span></div>`;
}

function Edge({ edge, fromY, toY }) {
  const from = LEFT_PX + NODE_RADIUS_PX + 3;
  const to = RIGHT_PX - NODE_RADIUS_PX - 3;
  const isBack = edge.kind === "back";
  const [startX, startY, endX, endY] = isBack ? [to, toY, from, fromY] : [from, fromY, to, toY];
  return html`<g class=${`proof-edge proof-edge-${edge.kind.replace(" ", "-")}`}>
    <path d=${`M${startX} ${startY}L${endX} ${endY}`} />
    <path class="proof-arrow" d=${arrow(startX, startY, endX, endY)} />
  </g>`;
}

/** A head of two strokes near the end of a line, where lines that meet still lie apart. */
function arrow(startX, startY, lineX, lineY) {
  const share = startY === lineY ? 1 : 0.62;
  const endX = startX + (lineX - startX) * share;
  const endY = startY + (lineY - startY) * share;
  const angle = Math.atan2(endY - startY, endX - startX);
  const barb = (turn) => {
    const x = endX - 7 * Math.cos(angle + turn);
    const at = endY - 7 * Math.sin(angle + turn);
    return `${x.toFixed(1)} ${at.toFixed(1)}`;
  };
  return `M${barb(0.45)}L${endX} ${endY}L${barb(-0.45)}`;
}

function LeftNode({ node, y: at }) {
  return html`<g><${Mark} label=${node.label} x=${LEFT_PX} y=${at} />
    ${node.note && html`<text class="proof-note" x=${LEFT_PX + NODE_RADIUS_PX + 6} y=${at + 4}>${node.note}</text>`}
  </g>`;
}

function RightNode({ node, y: at }) {
  const x = RIGHT_PX + NODE_RADIUS_PX + 4;
  const lines = Math.min(node.fan ?? 0, FAN_MAX);
  const noteX = lines > 0 ? x + 24 : x + 2;
  return html`<g><${Mark} label=${node.label} x=${RIGHT_PX} y=${at} />
    ${Array.from({ length: lines }, (_, line) => {
      const endY = at + (line - (lines - 1) / 2) * 5;
      return html`<path key=${line} class="proof-fan" d=${`M${x} ${at}L${x + 16} ${endY}`} />`;
    })}
    ${node.note && html`<text class="proof-note" x=${noteX} y=${at + 4}>${node.note}</text>`}
  </g>`;
}

/** A letter in a ring; a value whose class is not known is a dot; a name (a table) stands free. */
function Mark({ label, x, y: at }) {
  if (!label) return html`<circle class="proof-dot" cx=${x} cy=${at} r="3.5" />`;
  if (label.length > 1) return html`<text class="proof-name" x=${x - NODE_RADIUS_PX} y=${at + 4}>${label}</text>`;
  return html`<circle class="proof-ring" cx=${x} cy=${at} r=${NODE_RADIUS_PX} />
    <text class="proof-letter" x=${x} y=${at + 4} text-anchor="middle">${label}</text>`;
}
