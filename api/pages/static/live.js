"use strict";
/* An open page asks for itself again: what has not changed (304) is not touched, and nothing is asked while nobody looks. */
(() => {
  const note = document.getElementById("live-note");
  const main = () => document.getElementById("main");
  const every = 1000 * (Number(main().dataset.live) || 0);
  let timer = 0, wait = every, asking = false;

  const agoWords = (milliseconds) => {
    const seconds = Math.max(0, Math.round(milliseconds / 1000));
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} d ago`;
  };
  const tellAges = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const words = agoWords(Date.now() - Date.parse(time.dateTime));
      if (!time.title) time.title = time.textContent;
      if (time.textContent !== words) time.textContent = words;
    }
  };
  /* Somebody who fills in a form or selects a stretch of a chart is not disturbed. */
  const busy = () => {
    const focused = document.activeElement;
    return (main().contains(focused) && focused.matches("input, select")) || document.querySelector(".selection") !== null;
  };
  const swap = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html").getElementById("main");
    if (!next) throw new Error("the answer is not this page");
    const focused = document.activeElement?.id, opened = [...document.querySelectorAll("details[open]")].map((one) => one.id);
    const scrolled = [...main().querySelectorAll(".wide")].map((one) => one.scrollLeft);
    main().dataset.etag = next.dataset.etag;
    main().replaceChildren(...next.childNodes);
    opened.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    [...main().querySelectorAll(".wide")].forEach((one, place) => { one.scrollLeft = scrolled[place] ?? 0; });
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
    tellAges();
    document.dispatchEvent(new Event("page-swapped"));
  };
  const ask = async () => {
    if (document.hidden || asking) return;
    asking = true;
    try {
      const headers = { Accept: "text/html", "If-None-Match": main().dataset.etag };
      const answer = await fetch(location.href, { cache: "no-store", headers, signal: AbortSignal.timeout(20000) });
      if (answer.status === 200) {
        const html = await answer.text();
        if (!busy()) swap(html);
      } else if (answer.status !== 304) throw new Error(`the server answered ${answer.status}`);
      wait = every;
      note.textContent = "";
    } catch (error) {
      wait = Math.min(wait * 2, 10000);
      note.textContent = `Not up to date: ${error.message}`;
    }
    asking = false;
    later(wait);
  };
  const later = (milliseconds) => { clearTimeout(timer); timer = setTimeout(ask, milliseconds); };

  document.querySelectorAll("[data-script-only]").forEach((one) => { one.hidden = !every; });
  tellAges();
  setInterval(tellAges, 1000);
  if (every) {
    document.addEventListener("visibilitychange", () => { if (!document.hidden) later(0); });
    later(every);
  }
})();
