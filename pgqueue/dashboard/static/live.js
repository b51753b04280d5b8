// Keeps a page up to date: when the site says that it has changed, its own address is fetched and
// what has changed is changed, so that focus, selection, open details and the scroll position stay.
// Waits while somebody is busy with the page. All else works without this file.
"use strict";
(() => {
  const EVERY = 2000;
  const main = document.getElementById("main");
  const line = document.getElementById("live");
  let at = new Date();
  let missed = false;
  let fetching = false;
  let events = null;
  let polling = null;

  // Up to date

  const changed = (field) => {
    if (field.type === "hidden") return false;
    if (field.type === "checkbox") return field.checked !== field.defaultChecked;
    if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
    return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
  };

  const busy = () => {
    const focused = document.activeElement;
    const typing = focused && main.contains(focused) && ["INPUT", "SELECT", "TEXTAREA"].includes(focused.tagName);
    const begun = [...main.querySelectorAll("input, select, textarea")].some(changed);
    return typing || begun || String(document.getSelection() || "") !== "";
  };

  const say = (words) => {
    if (line.textContent !== words) line.textContent = words;
    line.hidden = words === "";
  };

  const clockTime = () => at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

  const look = async () => {
    if (document.visibilityState !== "visible" || fetching) return;
    missed = busy();
    if (missed) {
      say(`paused, as of ${clockTime()}`);
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("main");
      missed = busy();
      if (!fresh || missed) return;
      for (const open of main.querySelectorAll("details[id]")) {
        const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
        if (same) same.open = open.open;
      }
      const told = main.querySelector(".done");
      if (!told) fresh.querySelector(".done")?.remove();
      Idiomorph.morph(main, fresh.innerHTML, { morphStyle: "innerHTML" });
      at = new Date();
      say("");
      spell();
      arm();
    } catch {
      say(`the dashboard does not answer, as of ${clockTime()}`);
    } finally {
      fetching = false;
    }
  };

  const listen = () => {
    if (events || polling || !main.dataset.live || document.visibilityState !== "visible") return;
    events = new EventSource(main.dataset.live);
    events.onmessage = look;
    events.onerror = () => {
      // A stream that ended is asked for again by the browser; one that cannot be had is not.
      if (events.readyState !== EventSource.CLOSED) {
        if (document.visibilityState === "visible" && !navigator.onLine) look();
        return;
      }
      events = null;
      polling = setInterval(look, EVERY);
    };
  };

  const watch = () => {
    if (document.visibilityState === "visible") {
      listen();
      if (polling) look();
    } else if (events) {
      events.close();
      events = null;
    }
  };

  // Times: ago, by the clock here, in UTC

  const KINDS = ["ago", "here", "UTC"];
  const button = document.getElementById("clock");
  const kept = () => {
    try {
      return localStorage.getItem("pgqueue.clock");
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  let kind = KINDS.includes(kept()) ? kept() : "ago";
  const span = (seconds) => {
    const short = (number) => (number < 9.95 ? number.toFixed(1) : number.toFixed(0));
    if (seconds < 0.9995) return `${short(seconds * 1000)} ms`;
    for (const [unit, length, most] of [["s", 1, 120], ["min", 60, 120], ["h", 3600, 48]]) {
      if (seconds < most * length) return `${short(seconds / length)} ${unit}`;
    }
    return `${short(seconds / 86400)} d`;
  };

  const two = (number) => String(number).padStart(2, "0");
  const utc = (instant) => instant.toISOString().slice(0, 19).replace("T", " ");
  const here = (i) =>
    `${i.getFullYear()}-${two(i.getMonth() + 1)}-${two(i.getDate())} ${two(i.getHours())}:${two(i.getMinutes())}:${two(i.getSeconds())}`;

  const spell = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const instant = new Date(time.dateTime);
      if (Number.isNaN(instant.getTime())) continue;
      const passed = (Date.now() - instant.getTime()) / 1000;
      const ago = passed < 0 ? `in ${span(-passed)}` : `${span(passed)} ago`;
      const words = { ago, here: here(instant), UTC: utc(instant) }[kind];
      if (time.textContent !== words) time.textContent = words;
      time.title = `${here(instant)} here, ${utc(instant)} UTC, ${ago}`;
    }
    if (button) button.textContent = `Times: ${kind}`;
  };
  const turn = () => {
    kind = KINDS[(KINDS.indexOf(kind) + 1) % KINDS.length];
    try {
      localStorage.setItem("pgqueue.clock", kind);
    } catch {
      // then the next page begins anew
    }
    spell();
  };

  // All of a list at once

  const arm = () => {
    const all = document.getElementById("choose-all");
    if (!all) return;
    all.hidden = false;
    all.onchange = () => {
      for (const one of main.querySelectorAll("td input[name=id]")) one.checked = all.checked;
    };
  };

  // Keys

  let before = "";
  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    const key = event.key;
    if (before === "g") {
      const to = document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`);
      if (to) to.click();
    } else if (key === "?") {
      const dialog = document.getElementById("keys");
      if (!dialog.open) dialog.showModal();
    } else if (key === "/") {
      event.preventDefault();
      document.getElementById("find").focus();
    } else if (key === "t") {
      turn();
    }
    before = key === "g" ? "g" : "";
  };

  document.addEventListener("keydown", press);
  if (button) {
    button.hidden = false;
    button.onclick = turn;
  }
  spell();
  arm();
  // What was revealed stays as it is, and is asked for, and logged, once.
  const live = main.dataset.live && !location.search.includes("reveal=");
  setInterval(() => {
    spell();
    if (!live) return;
    if (busy()) {
      say(`paused, as of ${clockTime()}`);
    } else if (missed) {
      look();
    } else if (line.textContent.startsWith("paused")) {
      say("");
    }
  }, 1000);
  if (live) {
    document.addEventListener("visibilitychange", watch);
    listen();
  }
})();
