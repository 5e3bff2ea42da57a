import { html, useState } from "./preact.js";
import { Waterfall } from "./waterfall-view.js";
import { INITIAL } from "./waterfall-state.js";
import { navigate } from "./router.js";

/**
 * A unit's waterfall inside of another view: it opens and zooms; a row leads to the unit's own view.
 * @param {{ unit: any, findings: any[] }} props
 */
export function UnitPreview({ unit, findings }) {
  const [state, setState] = useState(INITIAL);
  const change = ({ selected, ...changes }) => {
    if (selected) navigate(`/requests/${unit.id}?row=${selected}`);
    else setState((now) => ({ ...now, ...changes }));
  };
  return html`<div class="section-body"><${Waterfall} unit=${unit} findings=${findings} state=${state} onState=${change} compact /></div>`;
}
