// Draws the figures that a page carries as JSON. Colours come from the style sheet: meta.tones names one per mark.
(function () {
  "use strict";

  const probe = document.createElement("span");
  probe.hidden = true;

  function colour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  function channels(text) {
    return text.match(/[\d.]+/g).slice(0, 3).map(Number);
  }

  function mixed(first, second, part) {
    const [a, b] = [channels(first), channels(second)];
    return `rgb(${a.map((value, i) => Math.round(value * part + b[i] * (1 - part))).join(",")})`;
  }

  function readableOn(ground) {
    const [r, g, b] = channels(ground).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#101418" : "#ffffff";
  }

  function toneColour(tone) {
    if (/^\d$/.test(tone)) return colour(`family${tone}`);
    if (tone.endsWith("-free")) return mixed(colour(tone.slice(0, -5)), colour("panel"), 0.3);
    const shared = { root: "hover", own: "accent", framework: "free" };
    if (tone in shared) return colour(shared[tone]);
    return colour(tone);
  }

  function depths(trace) {
    const parentOf = new Map(trace.ids.map((id, i) => [id, trace.parents[i]]));
    return trace.ids.map((id) => {
      let depth = 0;
      for (let at = parentOf.get(id); at; at = parentOf.get(at)) depth += 1;
      return depth;
    });
  }

  function themed(figure) {
    const copy = structuredClone(figure);
    for (const trace of copy.data) {
      const tones = (trace.meta && trace.meta.tones) || [];
      let colours = tones.map(toneColour);
      if (trace.type === "treemap") {
        const depth = depths(trace);
        const parts = [1, 0.34, 0.62, 0.9];
        colours = colours.map((c, i) => (/^\d$/.test(tones[i]) ? mixed(c, colour("panel"), parts[Math.min(depth[i], 3)]) : c));
        trace.marker = { colors: colours, line: { color: colour("panel"), width: 1 }, pad: { t: 20, l: 2, r: 2, b: 2 } };
        trace.textfont = { color: colours.map(readableOn) };
        trace.pathbar = { ...trace.pathbar, textfont: { color: colour("ink") } };
      } else if (trace.type === "icicle") {
        trace.marker = { colors: colours, line: { color: colour("panel"), width: 1 } };
        trace.textfont = { color: colours.map(readableOn), size: 11.5 };
        trace.pathbar = { visible: true, side: "bottom", textfont: { color: colour("ink") } };
        copy.layout = { ...copy.layout, uniformtext: { minsize: 10, mode: "hide" } };
      } else {
        trace.marker = { ...trace.marker, color: colours };
        trace.insidetextfont = { color: colours.map(readableOn) };
        trace.outsidetextfont = { color: colour("ink") };
      }
    }
    const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), tickcolor: colour("line") };
    copy.layout = {
      ...copy.layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("ink") },
      hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line-strong"), font: { color: colour("ink"), size: 12.5 }, align: "left" },
      xaxis: { ...axis, ...copy.layout.xaxis },
      yaxis: { ...axis, ...copy.layout.yaxis },
      ...(copy.layout.yaxis2 && { yaxis2: { ...axis, ...copy.layout.yaxis2 } }),
    };
    return copy;
  }

  function draw(element) {
    const figure = themed(JSON.parse(document.getElementById(element.dataset.chart).textContent));
    element.querySelectorAll(".waiting").forEach((note) => note.remove());
    const options = { displayModeBar: false, responsive: true };
    const narrow = element.clientWidth < 480 && figure.data[0].type === "treemap";
    if (narrow) figure.data[0].maxdepth -= 1;
    return window.Plotly.react(element, figure.data, figure.layout, options).then(() => {
      if (element.dataset.drawn) return;
      element.dataset.drawn = "yes";
      if (figure.data[0].type !== "treemap") return;
      element.on("plotly_treemapclick", (event) => {
        const url = event.points[0].customdata && event.points[0].customdata[3];
        if (!url) return true;
        window.location.assign(url);
        return false;
      });
    });
  }

  function drawAll() {
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.body.append(probe);
    drawAll();
  });
  document.addEventListener("explorer:theme", drawAll);
})();
