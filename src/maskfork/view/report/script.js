"use strict";
(() => {
  const tip = document.getElementById("tip");
  let told = null;

  const place = (mark) => {
    const box = mark.getBoundingClientRect();
    told = mark;
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const own = tip.getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    const left = Math.max(6, Math.min(wide - own.width - 6, box.left + box.width / 2 - own.width / 2));
    const above = box.top - own.height - 9;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : box.bottom + 9}px`;
  };
  const hide = () => { told = null; tip.hidden = true; };

  for (const [start, end] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    document.addEventListener(start, (event) => {
      const mark = event.target.closest?.("[data-tip]");
      if (mark) place(mark);
    });
    document.addEventListener(end, (event) => {
      if (event.target.closest?.("[data-tip]")) hide();
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", () => { if (told) place(told); }, { passive: true });

  // One Tab stop a plot; the arrow keys, Home and End walk its marks.
  for (const plot of document.querySelectorAll("svg.plot")) {
    const marks = [...plot.querySelectorAll("[data-tip]")];
    marks.forEach((mark, i) => mark.setAttribute("tabindex", i === 0 ? "0" : "-1"));
    plot.addEventListener("keydown", (event) => {
      const at = marks.indexOf(event.target.closest("[data-tip]"));
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      let to = at;
      if (step) to = (at + step + marks.length) % marks.length;
      else if (event.key === "Home") to = 0;
      else if (event.key === "End") to = marks.length - 1;
      else return;
      if (at < 0) return;
      event.preventDefault();
      marks[at].setAttribute("tabindex", "-1");
      marks[to].setAttribute("tabindex", "0");
      marks[to].focus();
    });
  }

  // The legend brings one series forward.
  for (const button of document.querySelectorAll(".key button")) {
    button.addEventListener("click", () => {
      const figure = button.closest("figure");
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of figure.querySelectorAll(".key button")) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      for (const plot of figure.querySelectorAll("svg.plot")) {
        plot.classList.toggle("dimmed", on);
        for (const part of plot.querySelectorAll("[data-series]")) {
          part.classList.toggle("kept", part.dataset.series === button.dataset.series);
        }
      }
    });
  }

  // Sorting; what was not measured stays last.
  const table = document.getElementById("contenders-table");
  if (!table) return;
  const heads = [...table.querySelectorAll("thead th")];
  const body = table.tBodies[0];
  const sort = (column, direction) => {
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [row, row.cells[column].dataset.value]);
    rows.sort(([, a], [, b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const x = Number(a), y = Number(b);
      return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
    });
    body.append(...rows.map(([row]) => row));
    heads.forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
  };
  heads.forEach((head, i) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(i, now ? (now === "ascending" ? "descending" : "ascending") : button.dataset.first);
    });
  });
  heads[0].setAttribute("aria-sort", "ascending");
  const chooser = document.querySelector(".chooser");
  chooser.hidden = false;
  chooser.querySelector("select").addEventListener("change", (event) => {
    const column = Number(event.target.value);
    sort(column, heads[column].querySelector("button").dataset.first);
  });
})();
