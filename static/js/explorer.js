// What every page has: keys, the help dialog, copy buttons, filters that submit themselves.
(function () {
  "use strict";

  const typing = (element) =>
    element instanceof HTMLElement && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName));

  function keyboard() {
    const help = document.getElementById("keyboard-help");
    let waiting = 0;
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      if (event.key === "/") {
        const search = document.querySelector("[data-search]");
        if (!search) return;
        event.preventDefault();
        search.focus();
        search.select();
      } else if (event.key === "?" && help) {
        event.preventDefault();
        if (help.open) help.close();
        else help.showModal();
      } else if (event.key === "g") {
        waiting = Date.now();
      } else if (Date.now() - waiting < 1500) {
        waiting = 0;
        const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
        if (target) target.click();
      } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        const arrow = document.querySelector(event.key === "ArrowLeft" ? "[data-previous]" : "[data-next]");
        if (arrow && event.shiftKey) arrow.click();
      }
    });
    document.querySelectorAll("[data-open-help]").forEach((button) => {
      button.hidden = false;
      button.addEventListener("click", () => help.showModal());
    });
  }

  function copying() {
    document.addEventListener("click", async (event) => {
      const button = event.target.closest && event.target.closest("[data-copy]");
      if (!button) return;
      event.preventDefault();
      await copyText(button.dataset.copy);
      button.classList.add("copied");
      setTimeout(() => button.classList.remove("copied"), 1200);
    });
  }

  async function copyText(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // plain http has no clipboard API
    area.value = text;
    area.className = "sr";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  function filters() {
    document.addEventListener("change", (event) => {
      if (event.target.matches && event.target.matches("form[data-auto] select")) event.target.form.requestSubmit();
    });
  }

  function queries() {
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("[data-submits]")) event.target.form.requestSubmit();
    });
  }

  function confirmations() {
    document.addEventListener("submit", (event) => {
      const question = event.target.dataset && event.target.dataset.confirm;
      if (question && !window.confirm(question)) event.preventDefault();
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const here = document.querySelector(".rail [aria-current]");
    if (here) here.scrollIntoView({ inline: "center", block: "nearest" });
    keyboard();
    confirmations();
    copying();
    filters();
    queries();
  });
})();
