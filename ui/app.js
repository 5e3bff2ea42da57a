import { html, render } from "./lib/preact.js";
import { startRouter } from "./lib/router.js";
import { startLive } from "./lib/live.js";
import { startTheme } from "./lib/settings.js";
import { Shell } from "./shell/shell.js";

startTheme();
startRouter();
startLive();
render(html`<${Shell} />`, document.getElementById("app"));
