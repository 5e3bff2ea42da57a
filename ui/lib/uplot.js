/** uPlot, loaded when the first chart is drawn: it is a classic script with a global of its own. */

const SCRIPT = "/assets/vendor/uplot/uPlot.iife.min.js";
const STYLE = "/assets/vendor/uplot/uPlot.min.css";

let loading = null;

/** @returns {Promise<any>} the constructor */
export function loadUplot() {
  loading ??= Promise.all([added("script", { src: SCRIPT }), added("link", { rel: "stylesheet", href: STYLE })]).then(
    () => globalThis.uPlot,
  );
  return loading;
}

function added(name, attributes) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.onload = resolve;
    element.onerror = () => {
      loading = null;
      reject(new Error(`${attributes.src ?? attributes.href} could not be loaded`));
    };
    document.head.append(element);
  });
}
