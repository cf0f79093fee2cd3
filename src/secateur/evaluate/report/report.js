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

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    document.querySelectorAll("table[data-sortable]").forEach(sortable);
    document.querySelectorAll("input[data-filter]").forEach(filter);
  });
})();
