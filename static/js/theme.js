// Loaded in the head, before anything is drawn, so that a chosen theme does not flash.
(function () {
  "use strict";
  const KEY = "explorer-theme";
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be switched off; the system's wish is then the answer
    }
  }

  function apply(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  apply(stored());

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-switch]");
    if (!button) return;
    const dark = () =>
      root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const name = () => {
      button.textContent = dark() ? "☀" : "☾";
      button.setAttribute("aria-label", dark() ? "Use the light theme" : "Use the dark theme");
      button.title = button.getAttribute("aria-label");
    };
    name();
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = dark() ? "light" : "dark";
      apply(next);
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // the choice then holds for this page only
      }
      name();
      document.dispatchEvent(new CustomEvent("explorer:theme"));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      name();
      document.dispatchEvent(new CustomEvent("explorer:theme"));
    });
  });
})();
