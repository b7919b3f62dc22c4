// How long the page is in view, keys that choose, and one submission at a time. Everything works without it.
"use strict";
(() => {
  const ballot = document.getElementById("ballot");
  const undo = document.getElementById("undo");
  const keys = document.getElementById("keys");
  let seen = 0;
  let since = document.visibilityState === "visible" ? performance.now() : null;
  const stop = () => { if (since !== null) { seen += performance.now() - since; since = null; } };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") { since ??= performance.now(); } else { stop(); }
  });
  keys.checked = sessionStorage.getItem("keys") !== "off";
  keys.addEventListener("change", () => sessionStorage.setItem("keys", keys.checked ? "on" : "off"));
  let sent = false;
  ballot.addEventListener("submit", (event) => {
    if (sent) { event.preventDefault(); return; }
    sent = true;
    stop();
    ballot.elements.read_seconds.value = (seen / 1000).toFixed(1);
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) { window.location.reload(); } });
  const choices = { a: "A", 1: "A", b: "B", 2: "B", e: "equal", 0: "equal" };
  document.addEventListener("keydown", (event) => {
    const writes = event.target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
    if (writes || !keys.checked || event.ctrlKey || event.metaKey || event.altKey) { return; }
    const key = event.key.toLowerCase();
    if (key in choices) {
      event.preventDefault();
      const radio = ballot.querySelector(`input[name=verdict][value=${choices[key]}]`);
      radio.checked = true;
      radio.focus({ preventScroll: true });
    } else if (key === "u" && undo) {
      event.preventDefault();
      undo.requestSubmit();
    } else if (key === "enter" && !event.target.matches("button, summary, a, input")) {
      event.preventDefault();
      ballot.requestSubmit();
    }
  });
})();
