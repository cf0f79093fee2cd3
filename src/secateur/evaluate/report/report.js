"use strict";
(() => {
  const root = document.documentElement, key = "secateur-theme", order = ["auto", "light", "dark"];
  const stored = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const show = (theme) => { theme === "auto" ? root.removeAttribute("data-theme") : root.setAttribute("data-theme", theme); };
  let theme = order.includes(stored()) ? stored() : "auto";
  show(theme);

  const themeButton = () => {
    const button = document.getElementById("theme");
    const name = () => {
      button.querySelector("span").textContent = theme[0].toUpperCase() + theme.slice(1);
      button.setAttribute("aria-label", `Colour theme: ${theme}. Change it`);
    };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      show(theme);
      name();
      try { localStorage.setItem(key, theme); } catch { /* a page opened from disk may have no storage */ }
    });
  };

  const value = (row, i) => {
    const cell = row.cells[i], raw = cell.dataset.v ?? cell.textContent.trim(), number = Number(raw);
    return raw === "–" || (cell.classList.contains("bad") && !cell.dataset.v) ? null : Number.isNaN(number) ? raw : number;
  };
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const both = typeof a === "number" && typeof b === "number";
    return sign * (both ? a - b : String(a).localeCompare(String(b)));
  };
  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [value(row, i), row]);
        rows.sort((a, b) => compare(a[0], b[0], down ? -1 : 1));
        body.classList.add("sorted");
        body.replaceChildren(...rows.map((r) => r[1]));
      });
    });
  };

  const filter = (input) => {
    const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
    const texts = rows.map((row) => [...row.cells].map((c) => c.textContent).join(" ").toLowerCase());
    input.closest("label").hidden = false;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      rows.forEach((row, i) => { row.hidden = !words.every((w) => texts[i].includes(w)); n += !row.hidden; });
      document.getElementById("status").textContent = `${n} of ${rows.length} rows`;
    });
  };

  const tabbed = (group) => {
    const tabs = [...group.querySelectorAll("[role=tab]")], list = tabs[0].parentElement;
    const choose = (tab) => tabs.forEach((t) => {
      const on = t === tab;
      t.setAttribute("aria-selected", on);
      t.tabIndex = on ? 0 : -1;
      document.getElementById(t.getAttribute("aria-controls")).hidden = !on;
    });
    list.hidden = false;
    choose(tabs[0]);
    list.addEventListener("click", (e) => { const tab = e.target.closest("[role=tab]"); if (tab) choose(tab); });
    list.addEventListener("keydown", (e) => {
      const at = tabs.indexOf(document.activeElement), n = tabs.length;
      const to = { ArrowRight: (at + 1) % n, ArrowLeft: (at + n - 1) % n, Home: 0, End: n - 1 }[e.key];
      if (at < 0 || to === undefined) return;
      e.preventDefault();
      tabs[to].focus();
      choose(tabs[to]);
    });
  };

  // Pointing at a line, or at its name, dims the others.
  const lit = (svg) => {
    const parts = [...svg.querySelectorAll("g[id*='-part-']")], of = (g) => g.id.match(/-part-(\d+)-/)[1];
    parts.forEach((g) => {
      g.classList.add("part");
      g.addEventListener("pointerenter", () => {
        svg.classList.add("one");
        parts.forEach((other) => other.classList.toggle("on", of(other) === of(g)));
      });
      g.addEventListener("pointerleave", () => svg.classList.remove("one"));
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    document.querySelectorAll("[data-tabs]").forEach(tabbed);
    document.querySelectorAll(".tabs figure svg").forEach(lit);
    document.querySelectorAll("table[data-sortable]").forEach(sortable);
    document.querySelectorAll("input[data-filter]").forEach(filter);
  });
})();
