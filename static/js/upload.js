// Uploads by the tus protocol: dropped or chosen files, progress with speed and time left, pause, resume after a closed tab.
(function () {
  "use strict";

  const CHUNK_BYTES = 64 * 1024 * 1024;
  const UNITS = ["B", "kB", "MB", "GB", "TB"];
  const running = new Set();
  const plainTitle = document.title;

  function bytes(value) {
    let unit = 0;
    while (value >= 999.95 && unit < UNITS.length - 1) {
      value /= 1000;
      unit += 1;
    }
    return `${unit ? value.toFixed(value < 9.995 ? 2 : 1) : value}\u202f${UNITS[unit]}`;
  }

  function time(seconds) {
    if (!Number.isFinite(seconds)) return "";
    if (seconds < 60) return `${Math.ceil(seconds)} s left`;
    if (seconds < 3600) return `${Math.ceil(seconds / 60)} min left`;
    return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min left`;
  }

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function showTitle() {
    const all = [...running];
    if (!all.length) document.title = plainTitle;
    else {
      const sent = all.reduce((sum, item) => sum + item.sent, 0);
      const whole = all.reduce((sum, item) => sum + item.file.size, 0);
      document.title = `${Math.floor((100 * sent) / (whole || 1))} % – ${plainTitle}`;
    }
  }

  class Item {
    constructor(file, options) {
      this.file = file;
      this.sent = 0;
      this.samples = [];
      this.link = "";
      this.bar = element("progress", { max: file.size || 1, value: 0 });
      this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
      this.told = element("p", { className: "told", textContent: "Starting…" });
      this.told.setAttribute("role", "status");
      this.pause = element("button", { type: "button", textContent: "Pause" });
      this.cancel = element("button", { type: "button", textContent: "Cancel" });
      this.buttons = element("span", { className: "push" }, this.pause, this.cancel);
      const name = element("span", { className: "file", textContent: file.name });
      const size = element("span", { className: "hint", textContent: bytes(file.size) });
      this.row = element("li", {}, element("div", { className: "line" }, name, size, this.buttons), this.bar, this.told);
      this.pause.addEventListener("click", () => this.toggle());
      this.cancel.addEventListener("click", () => this.stop());
      this.upload = new tus.Upload(file, {
        endpoint: options.endpoint,
        chunkSize: CHUNK_BYTES,
        retryDelays: [0, 1000, 3000, 5000, 10000, 20000, 30000],
        removeFingerprintOnSuccess: true,
        headers: { "X-CSRFToken": options.token },
        metadata: { ...options.metadata, filename: file.name, filetype: file.type || "application/octet-stream" },
        onProgress: (sent) => this.progress(sent),
        onAfterResponse: (request, response) => {
          this.link = response.getHeader("Dump-Location") || this.link;
        },
        onShouldRetry: (error) => worthAnotherTry(error.originalResponse),
        onError: (error) => this.failed(error),
        onSuccess: () => this.done(),
      });
    }

    async start() {
      const previous = await this.upload.findPreviousUploads();
      if (previous.length) {
        this.upload.resumeFromPreviousUpload(previous[0]);
        this.told.textContent = "Found an unfinished upload of this file: going on where it stopped.";
      }
      running.add(this);
      this.upload.start();
    }

    progress(sent) {
      const now = performance.now();
      this.sent = sent;
      this.bar.value = sent;
      this.samples.push([now, sent]);
      while (this.samples.length > 2 && now - this.samples[0][0] > 6000) this.samples.shift();
      const [first, from] = this.samples[0];
      const speed = now > first ? ((sent - from) * 1000) / (now - first) : 0;
      const left = speed > 0 ? time((this.file.size - sent) / speed) : "";
      const percent = Math.floor((100 * sent) / (this.file.size || 1));
      this.told.textContent = [`${percent} %, ${bytes(sent)}`, speed > 0 ? `${bytes(speed)}/s` : "", left].filter(Boolean).join(" · ");
      showTitle();
    }

    toggle() {
      if (running.has(this)) {
        running.delete(this);
        this.upload.abort();
        this.pause.textContent = "Go on";
        this.told.textContent = `Paused at ${bytes(this.sent)}. What was sent is kept.`;
      } else {
        running.add(this);
        this.samples = [];
        this.pause.textContent = "Pause";
        this.upload.start();
      }
      showTitle();
    }

    async stop() {
      running.delete(this);
      showTitle();
      this.buttons.remove();
      this.told.textContent = "Cancelled.";
      await this.upload.abort(true).catch(() => undefined); // the server drops abandoned uploads by itself
    }

    failed(error) {
      running.delete(this);
      showTitle();
      this.samples = [];
      const response = error.originalResponse;
      const reason = response ? reasonIn(response.getBody()) : null;
      this.told.classList.toggle("refused", Boolean(response));
      if (reason) {
        this.buttons.remove();
        this.bar.remove();
        this.told.replaceChildren(element("b", { textContent: reason.what }), reason.where ? ` ${reason.where}.` : "", ` ${reason.remedy || ""}`);
      } else {
        this.pause.textContent = "Try again";
        this.told.textContent = response
          ? `The server answered ${response.getStatus()}. What was sent is kept.`
          : "The connection was lost. What was sent is kept; trying again goes on from there.";
      }
    }

    done() {
      running.delete(this);
      showTitle();
      this.buttons.remove();
      this.bar.value = this.bar.max;
      const alone = document.querySelectorAll("[data-uploads] li").length === 1;
      this.told.textContent = "Received. ";
      if (!this.link) return;
      this.told.append(element("a", { href: this.link, textContent: "Open the dump" }));
      if (alone) window.location.assign(this.link);
    }
  }

  // What the server refuses for a reason (no room, too many, no dump) stays refused; a lock passes, and so does a broken server.
  function worthAnotherTry(response) {
    const status = response ? response.getStatus() : 0;
    return !status || status === 409 || status === 423 || (status >= 500 && status !== 507);
  }

  function reasonIn(body) {
    try {
      const answer = JSON.parse(body);
      const error = answer.error || answer;
      return error.what ? error : null;
    } catch {
      return null; // not one of our answers: a proxy in between
    }
  }

  function fields(form) {
    const values = {};
    for (const [key, value] of new FormData(form)) {
      if (key !== "csrfmiddlewaretoken" && typeof value === "string" && value.trim()) values[key] = value.trim();
    }
    return values;
  }

  async function listUnfinished(place) {
    const found = await tus.defaultOptions.urlStorage.findAllUploads();
    for (const entry of found.slice(0, 5)) {
      const forget = element("button", { type: "button", textContent: "Forget" });
      const name = (entry.metadata && entry.metadata.filename) || "a file";
      const row = element(
        "li",
        {},
        element("div", { className: "line" }, element("span", { className: "file", textContent: name }), element("span", { className: "push" }, forget)),
        element("p", { className: "told", textContent: `Unfinished since ${new Date(entry.creationTime).toLocaleString()}. Choose the same file again to go on.` }),
      );
      forget.addEventListener("click", async () => {
        await tus.defaultOptions.urlStorage.removeUpload(entry.urlStorageKey);
        row.remove();
      });
      place.append(row);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("[data-upload]");
    if (!form) return;
    const list = document.querySelector("[data-uploads]");
    const unfinished = document.querySelector("[data-unfinished]");
    const input = form.querySelector("input[type=file]");
    let depth = 0;

    function take(files) {
      for (const file of files) {
        const item = new Item(file, { endpoint: form.dataset.upload, token: form.elements.csrfmiddlewaretoken.value, metadata: fields(form) });
        list.prepend(item.row);
        item.start();
      }
      if (unfinished) unfinished.replaceChildren();
    }

    const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
    const dropping = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragenter", (event) => {
      if (!carriesFiles(event)) return;
      depth += 1;
      dropping(true);
    });
    document.addEventListener("dragleave", (event) => {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      dropping(depth > 0);
    });
    document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = 0;
      dropping(false);
      take(event.dataTransfer.files);
    });
    input.addEventListener("change", () => {
      take(input.files);
      input.value = "";
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    window.addEventListener("beforeunload", (event) => {
      if (running.size) event.preventDefault();
    });
    if (unfinished) listUnfinished(unfinished);
  });
})();
