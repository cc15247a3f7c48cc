"use strict";
/* Charts come drawn from the server. Pointer, touch and arrow keys tell exact values; a drag over time zooms to a link. */
(() => {
  const read = new WeakMap();
  let told = null, dragged = null, exact = 0;

  const dataOf = (figure) => {
    if (!read.has(figure)) read.set(figure, JSON.parse(figure.dataset.chart));
    return read.get(figure);
  };
  const figureOf = (plot) => plot.closest("figure[data-chart]");
  const rangeOf = (plot) => {
    const data = dataOf(figureOf(plot));
    return data.kind === "time" ? [Number(plot.dataset.lo), Number(plot.dataset.hi)] : [data.lo, data.hi];
  };
  const placeOf = (times, value) => {
    let low = -1, high = times.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (times[middle] <= value) low = middle; else high = middle - 1; }
    return low;
  };
  const spanWords = (seconds) => {
    if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
  };
  const timeWords = (milliseconds) => `${new Date(milliseconds).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const shareOf = (rect, plot) => [parseFloat(rect.getAttribute("x")) / 100, parseFloat(rect.getAttribute("width")) / 100];
  /* The bands of one kind that lie over a place of the chart. */
  const bandsAt = (plot, kind, share) => [...plot.querySelectorAll(`rect.${kind}`)].filter((rect) => {
    const [start, width] = shareOf(rect, plot);
    return start <= share && share < start + width;
  });
  const valuesAt = (plot, value, share) => {
    const data = dataOf(figureOf(plot));
    const gaps = bandsAt(plot, "gap", share).map((rect) => `not seen (${rect.dataset.cause.replaceAll("_", " ")})`);
    if (gaps.length) return [...new Set(gaps)];
    if (bandsAt(plot, "unwatched", share).length) return ["not watched"];
    const words = data.tracks.map((track) => {
      const place = placeOf(track.at ?? data.at, value), found = place < 0 ? null : track.values[place];
      return found === null || found === undefined ? null : `${track.name} ${found.toLocaleString("en")}${data.unit ?? ""}`;
    }).filter((one) => one !== null);
    if (bandsAt(plot, "uncertain", share).length) words.push("uncertain: it changed within this band");
    return words.length ? words : ["nothing seen"];
  };
  const tell = (plot, value) => {
    const [low, high] = rangeOf(plot), clipped = Math.min(Math.max(value, low), high), share = (clipped - low) / (high - low);
    const data = dataOf(figureOf(plot)), cross = plot.querySelector(".cross"), x = `${share * 100}%`;
    cross.setAttribute("x1", x);
    cross.setAttribute("x2", x);
    cross.removeAttribute("visibility");
    const when = data.kind === "time" ? timeWords(clipped) : `longer than ${spanWords(clipped)}`;
    figureOf(plot).querySelector("output").textContent = `${when}: ${valuesAt(plot, clipped, share).join(", ")}`;
    told = { id: plot.id, value: clipped };
    clearTimeout(exact);
    if (data.sampled) exact = setTimeout(() => tellExactly(plot, clipped), 250);
  };
  /* Between the drawn steps of a sampled chart lie others, which only the server knows. */
  const tellExactly = async (plot, value) => {
    const output = figureOf(plot).querySelector("output"), moment = new Date(value).toISOString();
    const answer = await fetch(`${dataOf(figureOf(plot)).exact}?at=${moment}`).catch(() => null);
    if (!answer?.ok || told?.value !== value) return;
    const { certainty, status } = await answer.json(), counts = Object.entries(status?.task_run_status_counts ?? {});
    const words = counts.map(([name, count]) => `${name.replaceAll("_", " ")} ${Number(count).toLocaleString("en")}`);
    output.textContent = `${timeWords(value)}: ${certainty.replaceAll("_", " ")}${words.length ? `: ${words.join(", ")}` : ""}`;
  };
  const valueAt = (plot, event) => {
    const box = plot.getBoundingClientRect(), [low, high] = rangeOf(plot);
    return low + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * (high - low);
  };
  const plotOf = (event) => event.target instanceof Element ? event.target.closest(".plot") : null;
  const steps = (plot) => {
    const data = dataOf(figureOf(plot)), [low, high] = rangeOf(plot);
    const edges = [...plot.querySelectorAll("rect.gap")].map((rect) => low + shareOf(rect, plot)[0] * (high - low));
    const all = [low, ...(data.at ?? []), ...data.tracks.flatMap((track) => track.at ?? []), ...edges, high];
    return [...new Set(all)].filter((one) => low <= one && one <= high).sort((one, other) => one - other);
  };
  const showSelection = (plot, from, to) => {
    const [low, high] = rangeOf(plot);
    let rect = plot.querySelector(".selection");
    if (!rect) {
      rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      rect.setAttribute("class", "selection");
      rect.setAttribute("y", "18");
      rect.setAttribute("height", String(plot.getBoundingClientRect().height - 44));
      plot.append(rect);
    }
    rect.setAttribute("x", `${((Math.min(from, to) - low) / (high - low)) * 100}%`);
    rect.setAttribute("width", `${(Math.abs(to - from) / (high - low)) * 100}%`);
  };
  const zoomTo = (from, to) => {
    const address = new URL(location.href);
    address.searchParams.set("from", new Date(from).toISOString());
    address.searchParams.set("to", new Date(to).toISOString());
    ["cursor", "page"].forEach((name) => address.searchParams.delete(name));
    location.assign(address);
  };

  document.addEventListener("pointermove", (event) => {
    const plot = dragged?.plot ?? plotOf(event);
    if (!plot) return;
    const value = valueAt(plot, event);
    tell(plot, value);
    if (dragged && Math.abs(value - dragged.from) > dragged.least) showSelection(plot, dragged.from, value);
  });
  document.addEventListener("pointerdown", (event) => {
    const plot = plotOf(event);
    if (!plot) return;
    tell(plot, valueAt(plot, event));
    if (event.pointerType !== "mouse" || event.button !== 0 || dataOf(figureOf(plot)).kind !== "time") return;
    const [low, high] = rangeOf(plot);
    dragged = { plot, from: valueAt(plot, event), least: (high - low) / 80 };
    event.preventDefault();
    plot.focus({ preventScroll: true });
  });
  const letGo = (event, zooms) => {
    if (!dragged) return;
    const { plot, from, least } = dragged, to = valueAt(plot, event);
    dragged = null;
    plot.querySelector(".selection")?.remove();
    if (zooms && Math.abs(to - from) > least) zoomTo(Math.min(from, to), Math.max(from, to));
  };
  document.addEventListener("pointerup", (event) => letGo(event, true));
  document.addEventListener("pointercancel", (event) => letGo(event, false));
  document.addEventListener("keydown", (event) => {
    const plot = plotOf(event);
    if (event.key === "Escape" && dragged) letGo({ clientX: 0 }, false);
    const by = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity }[event.key];
    if (!plot || by === undefined) return;
    event.preventDefault();
    const all = steps(plot), at = told?.id === plot.id ? told.value : by > 0 ? -Infinity : Infinity;
    const here = by > 0 ? placeOf(all, at) : all.findIndex((one) => one >= at);
    const place = here < 0 && by < 0 ? all.length : here;
    tell(plot, all[Math.min(Math.max(place + by, 0), all.length - 1)]);
  });
  document.addEventListener("page-swapped", () => {
    const plot = told && document.getElementById(told.id);
    if (plot) tell(plot, told.value);
  });
})();
