// Opens a namespace in place: its rows are fetched once and hidden or shown afterwards. Without this the link opens it as a page.
(function () {
  "use strict";

  function below(row) {
    const level = Number(row.dataset.level);
    const rows = [];
    for (let next = row.nextElementSibling; next && Number(next.dataset.level) > level; next = next.nextElementSibling) rows.push(next);
    return rows;
  }

  function show(row, open) {
    row.dataset.open = String(open);
    row.querySelector("a").setAttribute("aria-expanded", String(open));
    let closedAt = Infinity;
    for (const next of below(row)) {
      const level = Number(next.dataset.level);
      if (level <= closedAt) closedAt = Infinity;
      next.hidden = !open || closedAt !== Infinity;
      if (open && closedAt === Infinity && next.dataset.open === "false") closedAt = level;
    }
  }

  async function open(row, link) {
    if (row.dataset.loaded) return show(row, row.dataset.open !== "true");
    row.dataset.loaded = "yes";
    const level = Number(row.dataset.level);
    const url = new URL(link.href);
    url.searchParams.set("part", "rows");
    url.searchParams.set("level", String(level + 1));
    const response = await fetch(url, { headers: { "X-Requested-With": "fetch" } });
    if (!response.ok) {
      window.location.assign(link.href);
      return undefined;
    }
    const body = new DOMParser().parseFromString(`<table><tbody>${await response.text()}</tbody></table>`, "text/html");
    row.after(...body.querySelectorAll("tr"));
    return show(row, true);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("[data-branch]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    open(link.closest("tr"), link);
  });
})();
