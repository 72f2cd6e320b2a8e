"use strict";
(() => {
  const data = JSON.parse(document.getElementById("attention").textContent);
  const tip = document.getElementById("tip");
  const make = (tag, attributes = {}, text = "") => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const shares = (text) => Float32Array.from(new Uint16Array(bytes(text).buffer), (n) => n / 65535);
  const percent = (w) => `${w >= 0.0995 ? (w * 100).toFixed(0) : (w * 100).toFixed(1)}\u00a0%`;
  const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

  // Colours come from the style sheet, so that a dark ground has its own.
  let ramp, ground, hatch;
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const rgb = (name) => {
      const n = parseInt(style.getPropertyValue(name).trim().slice(1), 16);
      return [n >> 16, (n >> 8) & 255, n & 255];
    };
    const stops = [[0, rgb("--s0")], [0.35, rgb("--s1")], [0.6, rgb("--s2")], [0.8, rgb("--s3")], [1, rgb("--s4")]];
    ramp = Array.from({ length: 256 }, (_, i) => {
      const at = i / 255, j = Math.max(1, stops.findIndex(([stop]) => stop >= at));
      const [[a, low], [b, high]] = [stops[j - 1], stops[j]];
      return low.map((c, k) => Math.round(c + (high[k] - c) * (at - a) / (b - a)));
    });
    ground = rgb("--no");
    hatch = style.getPropertyValue("--hatch").trim();
  };
  const depth = (w) => Math.round(Math.sqrt(clamp(w, 0, 1)) * 255);

  // One map of the data: `of(tile)` gives its weights and what the rule allows.
  class Map_ {
    constructor(raw) {
      Object.assign(this, raw);
      this.q = raw.queries.length;
      this.k = raw.keys.length;
      this.size = this.q * this.k;
      this.all = shares(raw.weights);
      this.rolled = shares(raw.rollout);
      this.open = raw.masks.map((text) => {
        const packed = bytes(text);
        return Uint8Array.from({ length: this.size }, (_, i) => (packed[i >> 3] >> (7 - (i & 7))) & 1);
      });
    }
    of({ layer, head }) {
      if (layer === null) return [this.rolled, this.open[this.reach]];
      const start = layer * this.heads * this.size;
      if (head !== null) {
        const masks = this.allowed[layer];
        const from = start + head * this.size;
        return [this.all.subarray(from, from + this.size), this.open[masks[masks.length > 1 ? head : 0]]];
      }
      const mean = new Float32Array(this.size);
      for (let h = 0; h < this.heads; h++)
        for (let i = 0; i < this.size; i++) mean[i] += this.all[start + h * this.size + i] / this.heads;
      return [mean, this.open[this.means[layer]]];
    }
    own({ layer, head }) {
      return {
        layer: layer === null ? null : Math.min(layer, this.layers - 1),
        head: layer === null || head === null ? null : Math.min(head, this.heads - 1),
      };
    }
  }
  const named = ({ layer, head }) =>
    layer === null ? "rollout over all layers" : `layer ${layer}, ${head === null ? "mean over heads" : `head ${head}`}`;

  const paint = (canvas, map, tile, wide, high, step) => {
    const [weights, open] = map.of(tile);
    const sharp = window.devicePixelRatio || 1;
    canvas.width = Math.round(wide * sharp);
    canvas.height = Math.round(high * sharp);
    const cells = document.createElement("canvas");
    [cells.width, cells.height] = [map.k, map.q];
    const image = cells.getContext("2d").createImageData(map.k, map.q);
    for (let i = 0; i < map.size; i++) image.data.set([...(open[i] ? ramp[depth(weights[i])] : ground), 255], 4 * i);
    cells.getContext("2d").putImageData(image, 0, 0);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(cells, 0, 0, canvas.width, canvas.height);
    const [x, y] = [canvas.width / map.k, canvas.height / map.q];
    pen.save();
    pen.beginPath();
    let any = false;
    for (let q = 0; q < map.q; q++) {
      for (let k = 0; k < map.k; k++) {
        if (open[q * map.k + k]) continue;
        const from = k;
        while (k + 1 < map.k && !open[q * map.k + k + 1]) k++;
        pen.rect(from * x, q * y, (k + 1 - from) * x, y);
        any = true;
      }
    }
    if (any) {
      pen.clip();
      pen.strokeStyle = hatch;
      pen.lineWidth = sharp;
      pen.beginPath();
      for (let at = -canvas.height; at < canvas.width; at += step * sharp) {
        pen.moveTo(at, canvas.height);
        pen.lineTo(at + canvas.height, 0);
      }
      pen.stroke();
    }
    pen.restore();
    return [x, y, sharp];
  };

  class View {
    constructor(section, raw) {
      this.map = new Map_(raw);
      this.root = section;
      this.find = (selector) => section.querySelector(selector);
      [this.query, this.tile] = [raw.query, this.map.own({ layer: raw.start[0], head: raw.start[1] })];
      this.buildOverview();
      this.buildPlot();
      this.buildChips();
      this.buildLinks();
      this.find(".as-table").addEventListener("toggle", () => this.table());
    }

    // --- layers x heads: one Tab stop, arrow keys inside ---
    buildOverview() {
      const grid = this.find(".overview");
      const heads = make("div", { class: "line heads", "aria-hidden": "true" });
      heads.append(make("span"));
      for (let h = 0; h < this.map.heads; h++) heads.append(make("span", {}, String(h)));
      heads.append(make("span", {}, "mean"));
      grid.append(heads);
      this.tiles = [];
      for (let layer = 0; layer < this.map.layers; layer++) {
        const line = make("div", { class: "line", role: "row" });
        line.append(make("span", { "aria-hidden": "true" }, String(layer)));
        this.tiles.push([...Array(this.map.heads).keys(), null].map((head) => this.button(line, { layer, head })));
        grid.append(line);
      }
      const last = make("div", { class: "line", role: "row" });
      last.append(make("span", { "aria-hidden": "true" }));
      this.tiles.push([this.button(last, { layer: null, head: null })]);
      grid.append(last);
      grid.addEventListener("keydown", (event) => this.walk(event));
    }
    button(line, tile) {
      const node = make("button", { type: "button", role: "gridcell", class: "tile", tabindex: "-1", "aria-label": named(tile) });
      node.append(document.createElement("canvas"));
      if (tile.layer === null) {
        node.classList.add("wide");
        node.append("rollout");
      }
      node.addEventListener("click", () => choose(tile));
      node.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") say(node, named(tile)); });
      node.addEventListener("pointerleave", hush);
      line.append(node);
      return { node, tile };
    }
    place() {
      const row = this.tile.layer === null ? this.map.layers : this.tile.layer;
      return [row, row === this.map.layers ? 0 : this.tile.head === null ? this.map.heads : this.tile.head];
    }
    walk(event) {
      let [row, column] = this.place();
      if (event.key === "ArrowRight") column++;
      else if (event.key === "ArrowLeft") column--;
      else if (event.key === "ArrowDown") row++;
      else if (event.key === "ArrowUp") row--;
      else if (event.key === "Home") column = 0;
      else if (event.key === "End") column = this.map.heads;
      else return;
      event.preventDefault();
      row = clamp(row, 0, this.map.layers);
      if (row < this.map.layers && this.tile.layer === null) column = this.lastColumn ?? 0;
      else if (row < this.map.layers) this.lastColumn = clamp(column, 0, this.map.heads);
      const { node, tile } = this.tiles[row][clamp(column, 0, this.tiles[row].length - 1)];
      choose(tile);
      node.focus();
    }

    // --- the large map ---
    buildPlot() {
      const plot = this.find(".plot");
      const label = ([text, part]) => make("span", { class: part }, text);
      this.cols = make("div", { class: "cols", "aria-hidden": "true" });
      this.rows = make("div", { class: "rows", "aria-hidden": "true" });
      this.cols.append(...this.map.keys.map(label));
      this.rows.append(...this.map.queries.map(label));
      this.canvas = make("canvas", { role: "img" });
      plot.append(make("div", { class: "corner" }), this.cols, this.rows, this.canvas);
      [...this.rows.children].forEach((node, q) => {
        node.addEventListener("click", () => this.read(q));
        node.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") this.show(q); });
        node.addEventListener("pointerleave", () => this.show(this.query));
      });
      const cell = (event) => {
        const box = this.canvas.getBoundingClientRect();
        return [(event.clientY - box.top) / this.cell | 0, (event.clientX - box.left) / this.cell | 0]
          .map((at, i) => clamp(at, 0, (i ? this.map.k : this.map.q) - 1));
      };
      const point = (event) => {
        const [q, k] = cell(event);
        const [weights, open] = this.map.of(this.tile);
        const at = q * this.map.k + k;
        const words = `${this.map.queries[q][0]} → ${this.map.keys[k][0]}: `;
        say({ getBoundingClientRect: () => new DOMRect(event.clientX, event.clientY - 6, 0, 18) },
          words + (open[at] ? percent(weights[at]) : "forbidden by the rule"));
        return q;
      };
      this.canvas.addEventListener("pointermove", (event) => {
        if (event.pointerType === "mouse") this.show(point(event));
      });
      this.canvas.addEventListener("click", (event) => this.read(point(event)));
      this.canvas.addEventListener("pointerleave", () => { hush(); this.show(this.query); });
    }

    // --- the text: which token reads, and how much of the others ---
    buildChips() {
      const group = this.find(".chips.query");
      const chip = ([text, part], more) => make("button", { type: "button", class: `chip ${part}`, tabindex: "-1", ...more }, text);
      this.askers = this.map.queries.map((token) => chip(token, { role: "radio", "aria-checked": "false" }));
      group.append(...this.askers);
      this.read_ = this.askers;
      if (this.map.kind === "cross") {
        this.read_ = this.map.keys.map(([text, part]) => make("span", { class: `chip ${part}` }, text));
        this.find(".chips.key").append(...this.read_);
      }
      this.askers.forEach((node, q) => {
        node.addEventListener("click", () => this.read(q));
        node.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") this.show(q); });
        node.addEventListener("pointerleave", () => this.show(this.query));
      });
      group.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        let to = this.query;
        if (step) to = (to + step + this.map.q) % this.map.q;
        else if (event.key === "Home") to = 0;
        else if (event.key === "End") to = this.map.q - 1;
        else return;
        event.preventDefault();
        this.read(to);
        this.askers[to].focus();
      });
    }
    read(q) {
      this.query = q;
      this.show(q);
      const [weights, open] = this.map.of(this.tile);
      const row = this.map.keys.map(([text], k) => [text, weights[q * this.map.k + k], open[q * this.map.k + k]]);
      const may_read = row.filter(([, , may]) => may).sort((a, b) => b[1] - a[1]);
      const most = may_read.filter(([, w], i) => i === 0 || (i < 4 && w >= 0.001));
      const said = this.find(".said");
      said.textContent = "";
      said.append(make("b", {}, this.map.queries[q][0]), most.length ? " reads " : " reads nothing: the rule forbids every key.");
      said.append(most.map(([text, w]) => `${text} ${percent(w)}`).join(", "));
      const shut = row.filter(([, , may]) => !may).length;
      if (shut && most.length) said.append(`; the rule forbids ${shut} of ${this.map.k}`);
    }
    show(q) {
      if (q === this.shown && this.tile === this.shownTile) return;
      [this.shown, this.shownTile] = [q, this.tile];
      const [weights, open] = this.map.of(this.tile);
      this.read_.forEach((node, k) => {
        const at = q * this.map.k + k;
        const deep = depth(weights[at]);
        node.classList.toggle("no", !open[at]);
        node.style.backgroundColor = open[at] ? `rgb(${ramp[deep]})` : "";
        node.style.color = open[at] ? `var(${deep > 140 ? "--on-deep" : "--on-light"})` : "";
      });
      this.askers.forEach((node, i) => {
        node.setAttribute("aria-checked", String(i === q));
        node.setAttribute("tabindex", i === this.query ? "0" : "-1");
      });
      [...this.rows.children].forEach((node, i) => node.classList.toggle("now", i === q));
      this.frame(q);
    }

    buildLinks() {
      const list = this.find(".links");
      for (const [q, k, weight, layer, head] of this.map.links) {
        const words = `${this.map.queries[q][0]} → ${this.map.keys[k][0]}  ${percent(weight)}, ${named({ layer, head })}`;
        const button = make("button", { type: "button" }, words);
        button.addEventListener("click", () => { choose({ layer, head }); this.read(q); });
        const item = make("li");
        item.append(button);
        list.append(item);
      }
      if (!this.map.links.length) list.append(make("li", {}, "No two tokens of content link."));
    }
    table() {
      if (!this.find(".as-table").open) return;
      const [weights, open] = this.map.of(this.tile);
      const table = this.find("table"), head = make("tr"), body = make("tbody"), top = make("thead");
      table.textContent = "";
      table.append(make("caption", { class: "quiet" }, `${this.map.kind}, ${named(this.tile)}: a row reads, a column is read`));
      head.append(make("th", { scope: "col" }, "token"), ...this.map.keys.map(([text]) => make("th", { scope: "col" }, text)));
      top.append(head);
      this.map.queries.forEach(([text], q) => {
        const line = make("tr");
        line.append(make("th", { scope: "row" }, text));
        for (let k = 0; k < this.map.k; k++) {
          const at = q * this.map.k + k;
          line.append(open[at] ? make("td", {}, percent(weights[at])) : make("td", { class: "no" }, "forbidden"));
        }
        body.append(line);
      });
      table.append(top, body);
    }

    // --- drawing ---
    draw() {
      const grid = this.find(".overview");
      const room = (grid.clientWidth - 34) / (this.map.heads + 1) - 3;
      const tile = clamp(Math.floor(room), 22, 64);
      const tall = clamp(Math.round(tile * this.map.q / this.map.k), 14, 90);
      grid.style.setProperty("--tile", `${tile}px`);
      grid.style.setProperty("--tall", `${tall}px`);
      for (const { node, tile: own } of this.tiles.flat()) paint(node.firstChild, this.map, own, tile, tall, 4);
      this.large();
    }
    large() {
      const scroll = this.find(".large .scroll"), plot = this.find(".plot");
      plot.style.setProperty("--cell", "16px");
      const room = scroll.clientWidth - this.rows.getBoundingClientRect().width - 2;
      const fits = Math.floor(room / this.map.k), tall = Math.floor((innerHeight * 0.9 - 90) / this.map.q);
      this.cell = fits < 11 ? 15 : clamp(fits, 11, clamp(tall, 18, 34)); // a map that cannot fit scrolls in good cells
      plot.style.setProperty("--cell", `${this.cell}px`);
      const { layer } = this.tile;
      this.find(".title").textContent = named(this.tile);
      this.find(".rule").textContent = this.map.kind === "cross" ? "" :
        layer === null ? "hatched: no chain of layers leads there" : `rule: ${this.map.rules[layer]}`;
      this.canvas.style.width = `${this.cell * this.map.k}px`;
      this.canvas.style.height = `${this.cell * this.map.q}px`;
      this.canvas.setAttribute("aria-label", `${this.map.kind}, ${named(this.tile)}: heat map of ${this.map.q} by ${this.map.k} tokens; a table of it is below`);
      this.picture();
      this.shown = null;
      this.read(this.query);
      this.table();
    }
    picture() {
      const [x, y, sharp] = paint(this.canvas, this.map, this.tile, this.cell * this.map.k, this.cell * this.map.q, 6);
      this.clean = document.createElement("canvas");
      [this.clean.width, this.clean.height] = [this.canvas.width, this.canvas.height];
      const pen = this.canvas.getContext("2d");
      if (this.cell >= 10) {
        pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ground");
        pen.lineWidth = sharp;
        pen.globalAlpha = 0.7;
        pen.beginPath();
        for (let k = 1; k < this.map.k; k++) { pen.moveTo(k * x, 0); pen.lineTo(k * x, this.canvas.height); }
        for (let q = 1; q < this.map.q; q++) { pen.moveTo(0, q * y); pen.lineTo(this.canvas.width, q * y); }
        pen.stroke();
        pen.globalAlpha = 1;
      }
      this.clean.getContext("2d").drawImage(this.canvas, 0, 0);
    }
    frame(q) {
      if (!this.clean) return;
      const pen = this.canvas.getContext("2d"), high = this.canvas.height / this.map.q, sharp = window.devicePixelRatio || 1;
      pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
      pen.drawImage(this.clean, 0, 0);
      pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--chosen");
      pen.lineWidth = 2 * sharp;
      pen.strokeRect(sharp, q * high + sharp, this.canvas.width - 2 * sharp, high - 2 * sharp);
    }
    turn(tile) {
      this.tile = this.map.own(tile);
      const [row, column] = this.place();
      for (const { node } of this.tiles.flat()) {
        node.setAttribute("aria-selected", "false");
        node.setAttribute("tabindex", "-1");
      }
      const { node } = this.tiles[row][column];
      node.setAttribute("aria-selected", "true");
      node.setAttribute("tabindex", "0");
      const grid = this.find(".overview");
      if (grid.scrollWidth > grid.clientWidth) node.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  const say = (mark, words) => {
    const box = mark.getBoundingClientRect();
    tip.textContent = words;
    tip.hidden = false;
    const own = tip.getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    tip.style.left = `${clamp(box.left + box.width / 2 - own.width / 2, 6, wide - own.width - 6)}px`;
    const above = box.top - own.height - 8;
    tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
  };
  const hush = () => { tip.hidden = true; };

  readColours();
  const views = [...document.querySelectorAll(".map")].map((section, i) => new View(section, data.maps[i]));
  const choose = (tile) => {
    for (const view of views) {
      view.turn(tile);
      view.large();
    }
  };
  for (const view of views) {
    view.turn(view.tile);
    view.draw();
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hush();
    if (event.target === document.body && event.key.startsWith("Arrow") && views.length === 1) views[0].walk(event);
  });
  let wait;
  const again = () => {
    clearTimeout(wait);
    wait = setTimeout(() => { readColours(); views.forEach((view) => view.draw()); }, 60);
  };
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("scroll", hush, { passive: true });
})();
