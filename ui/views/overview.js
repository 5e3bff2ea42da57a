import { html } from "../lib/preact.js";
import { View } from "../lib/view.js";

export default function View_() {
  return html`<${View} name="overview" title="overview" />`;
}
