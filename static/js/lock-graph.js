// Draws who waits for whom. The table below the graph holds the same; without this script nothing is lost.
(function () {
  "use strict";

  const holder = document.querySelector("[data-lock-graph]");
  if (!holder || !window.cytoscape) return;
  const data = JSON.parse(document.getElementById(holder.dataset.lockGraph).textContent);
  const status = document.querySelector("[data-graph-status]");
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  function colour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  function style() {
    const [ink, muted, panel, line, accent, soft, bad, badSoft] =
      ["ink", "muted", "panel", "line-strong", "accent", "accent-soft", "bad", "bad-soft"].map(colour);
    return [
      { selector: "node", style: {
        label: (node) => lines(node).join("\n"),
        "text-wrap": "wrap", "text-valign": "center", "text-halign": "center", "font-family": "system-ui, sans-serif",
        "font-size": 12, "line-height": 1.3, color: ink,
        width: (node) => Math.max(...lines(node).map((line) => pen.measureText(line).width)) + 26,
        height: (node) => 16 * lines(node).length + 14,
        shape: "round-rectangle", "corner-radius": 6, "background-color": panel, "border-width": 1.5, "border-color": line } },
      { selector: "node[kind = 'thread']", style: { "corner-radius": 20, "background-color": soft, "border-color": accent } },
      { selector: "node[kind = 'crowd']", style: { "corner-radius": 20, "border-style": "dashed", color: muted } },
      { selector: "node[?red]", style: { "border-color": bad, "border-width": 2 } },
      { selector: "node[kind = 'lock'][?red]", style: { "background-color": badSoft } },
      { selector: "edge", style: {
        "curve-style": "bezier", width: 1.6, "line-color": line, "target-arrow-color": line, "target-arrow-shape": "triangle",
        "arrow-scale": 0.9, label: "data(label)", "font-size": 10.5, "font-family": "system-ui, sans-serif", color: muted,
        "text-background-color": panel, "text-background-opacity": 1, "text-background-padding": "2px" } },
      { selector: "edge[?red]", style: { "line-color": bad, "target-arrow-color": bad, color: bad, width: 2.2 } },
      { selector: "edge.back", style: {
        "curve-style": "round-segments", "edge-distances": "node-position", "segment-weights": "0 1",
        "segment-distances": (edge) => `${detour(edge)} ${detour(edge)}`, "segment-radii": 10,
        "source-endpoint": upright ? "90deg" : "0deg", "target-endpoint": upright ? "90deg" : "0deg" } },
      { selector: "edge[?likely]", style: { "line-style": "dashed" } },
      { selector: "node.at", style: { "border-width": 4, "border-color": accent } },
    ];
  }

  // The library would write a style element of its own, which the page's policy forbids; one of that id is enough for it.
  const styles = document.createElement("style");
  styles.id = "__________cytoscape_stylesheet";
  document.head.append(styles);

  // On a narrow page the graph runs down.
  const upright = holder.clientWidth < 560;
  const [along, across] = upright ? ["y", "x"] : ["x", "y"];
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "12px system-ui, sans-serif";

  function lines(node) {
    return [node.data("label"), node.data("second")].filter(Boolean);
  }

  holder.textContent = "";
  const graph = window.cytoscape({
    container: holder,
    elements: [
      ...data.nodes.map((node) => ({ data: node })),
      ...data.edges.map((edge, number) => ({ data: { id: `e${number}`, ...edge } })),
    ],
    style: style(),
    layout: { name: "dagre", rankDir: upright ? "TB" : "LR", nodeSep: 40, rankSep: upright ? 44 : 76, edgeSep: 14, fit: true, padding: 16 },
    minZoom: 0.15,
    maxZoom: 2.5,
    autoungrabify: true,
    boxSelectionEnabled: false,
    userZoomingEnabled: false,
  });

  // An edge against the direction of the layout would run straight through what lies between: it goes round it.
  function detour(edge) {
    const ends = [edge.source().position(), edge.target().position()];
    const [low, high] = [Math.min(...ends.map((end) => end[along])), Math.max(...ends.map((end) => end[along]))];
    const between = edge.component().nodes().filter((node) => node.position(along) >= low && node.position(along) <= high);
    const middle = (ends[0][across] + ends[1][across]) / 2;
    const reach = between.map((node) => (upright ? node.position("x") + node.width() / 2 - middle : middle - node.position("y") + node.height() / 2));
    return Math.max(...reach) + 18;
  }
  graph.edges().filter((edge) => edge.target().position(along) < edge.source().position(along) - 1).addClass("back");
  // Groups that have nothing to do with each other stand in rows, not all below each other.
  function pack() {
    const parts = graph.elements().components();
    const boxes = parts.map((part) => part.boundingBox());
    const total = boxes.reduce((sum, part) => sum + (part.w + 50) * (part.h + 24), 0);
    const wide = Math.max(...boxes.map((part) => part.w), upright ? 0 : Math.sqrt(total * 2.4));
    let [x, y, row] = [0, 0, 0];
    parts.forEach((part, number) => {
      const own = boxes[number];
      if (x && x + own.w > wide) [x, y, row] = [0, y + row + 24, 0];
      part.nodes().shift({ x: x - own.x1, y: y - own.y1 });
      x += own.w + 50;
      row = Math.max(row, own.h);
    });
  }
  pack();
  const box = graph.elements().boundingBox();
  holder.style.height = `${Math.round(Math.min(Math.max(box.h * Math.min(1.1, holder.clientWidth / box.w) + 60, 180), upright ? 760 : 620))}px`;
  graph.resize();

  function fit() {
    graph.fit(undefined, 16);
    if (graph.zoom() > 1.1) {
      graph.zoom(1.1);
      graph.center();
    }
  }
  fit();
  // The wheel scrolls the page until a person has taken hold of the graph.
  holder.addEventListener("focus", () => graph.userZoomingEnabled(true));
  holder.addEventListener("blur", () => graph.userZoomingEnabled(false));
  document.addEventListener("explorer:theme", () => graph.style(style()));
  new ResizeObserver(() => { graph.resize(); fit(); }).observe(holder);

  // Keyboard: arrows walk along edges and among neighbours, Enter opens.
  let at = null;

  function go(node) {
    if (!node || node.empty()) return;
    if (at) at.removeClass("at");
    at = node.first();
    at.addClass("at");
    const inside = graph.extent();
    const { x, y } = at.position();
    if (x < inside.x1 || x > inside.x2 || y < inside.y1 || y > inside.y2) graph.center(at);
    const out = at.outgoers("edge").map((edge) => `${edge.data("label")} ${edge.target().data("label")}`).join("; ");
    status.textContent = `${at.data("label")} ${at.data("second") || ""}${out ? `: ${out}` : ""}. Enter opens it.`;
  }

  function nearest(step) {
    const from = at.position();
    const ahead = graph.nodes().filter((node) => node !== at && step(node.position(), from));
    return ahead.sort((a, b) => distance(a.position(), from) - distance(b.position(), from)).first();
  }

  function distance(a, b) {
    return (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
  }

  const steps = {
    ArrowRight: (there, here) => there.x > here.x + 1,
    ArrowLeft: (there, here) => there.x < here.x - 1,
    ArrowDown: (there, here) => there.y > here.y + 1,
    ArrowUp: (there, here) => there.y < here.y - 1,
  };

  holder.addEventListener("keydown", (event) => {
    if (event.key in steps) {
      event.preventDefault();
      go(at ? nearest(steps[event.key]) : graph.nodes().first());
    } else if (event.key === "Enter" && at) {
      location.href = at.data("url");
    } else if (event.key === "+" || event.key === "-") {
      graph.zoom({ level: graph.zoom() * (event.key === "+" ? 1.2 : 1 / 1.2), renderedPosition: { x: holder.clientWidth / 2, y: holder.clientHeight / 2 } });
    }
  });
  graph.on("tap", "node", (event) => { if (event.target.data("url")) location.href = event.target.data("url"); });
  graph.on("mouseover", "node", (event) => { holder.style.cursor = "pointer"; go(event.target); });
  graph.on("mouseout", "node", () => { holder.style.cursor = ""; });

  // Export
  function save(name, href) {
    const link = document.createElement("a");
    link.download = name;
    link.href = href;
    link.click();
  }

  function escaped(text) {
    return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  }

  function svg() {
    const box = graph.elements().boundingBox();
    const parts = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box.x1 - 12} ${box.y1 - 12} ${box.w + 24} ${box.h + 24}" width="${Math.round(box.w + 24)}" height="${Math.round(box.h + 24)}" font-family="system-ui, sans-serif" font-size="12">`];
    parts.push(`<defs>${[["a", "line-strong"], ["b", "bad"]].map(([id, name]) =>
      `<marker id="${id}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="${colour(name)}"/></marker>`).join("")}</defs>`);
    parts.push(`<rect x="${box.x1 - 12}" y="${box.y1 - 12}" width="100%" height="100%" fill="${colour("panel")}"/>`);
    for (const edge of graph.edges()) {
      const [from, to, middle] = [edge.sourceEndpoint(), edge.targetEndpoint(), edge.midpoint()];
      const corners = edge.hasClass("back") ? edge.segmentPoints() : edge.controlPoints();
      const through = (corners || []).map((corner) => `${corner.x} ${corner.y}`);
      const path = edge.hasClass("back") ? `M${[`${from.x} ${from.y}`, ...through, `${to.x} ${to.y}`].join("L")}`
        : through.length ? `M${from.x} ${from.y}Q${through[0]} ${to.x} ${to.y}` : `M${from.x} ${from.y}L${to.x} ${to.y}`;
      const stroke = edge.style("line-color");
      parts.push(`<path d="${path}" fill="none" stroke="${stroke}" stroke-width="1.8"${edge.data("likely") ? ' stroke-dasharray="5 4"' : ""} marker-end="url(#${edge.data("red") ? "b" : "a"})"/>`);
      parts.push(`<text x="${middle.x}" y="${middle.y - 4}" fill="${edge.style("color")}" font-size="10.5" text-anchor="middle">${escaped(edge.data("label"))}</text>`);
    }
    for (const node of graph.nodes()) {
      const size = node.boundingBox({ includeLabels: false, includeOverlays: false });
      const radius = node.data("kind") === "lock" ? 6 : Math.min(20, size.h / 2);
      parts.push(`<rect x="${size.x1}" y="${size.y1}" width="${size.w}" height="${size.h}" rx="${radius}" fill="${node.style("background-color")}" stroke="${node.style("border-color")}"${node.data("kind") === "crowd" ? ' stroke-dasharray="4 3"' : ""}/>`);
      lines(node).forEach((line, row, all) => parts.push(`<text x="${node.position("x")}" y="${node.position("y") + 4 + (row - (all.length - 1) / 2) * 16}" fill="${node.style("color")}" text-anchor="middle">${escaped(line)}</text>`));
    }
    parts.push("</svg>");
    return new Blob([parts.join("")], { type: "image/svg+xml" });
  }

  const tools = document.querySelector("[data-graph-tools]");
  tools.hidden = false;
  tools.querySelector("[data-graph-fit]").addEventListener("click", fit);
  tools.querySelector("[data-graph-svg]").addEventListener("click", () => {
    const url = URL.createObjectURL(svg());
    save(`${holder.dataset.name}.svg`, url);
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  });
  tools.querySelector("[data-graph-png]").addEventListener("click", () => save(`${holder.dataset.name}.png`, graph.png({ full: true, scale: 2, bg: colour("panel") })));
  holder.dataset.drawn = "true";
})();
