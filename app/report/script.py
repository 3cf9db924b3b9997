"""The script of all pages: a click on a column header sorts the table, and printing unfolds everything.

A table without `tbody`s of several rows each is sorted by rows; one with several `tbody`s by those, each with its first
row: rows that explain the one above stay with it. `tfoot` stays where it is. Numbers are read with their separators
and units (`1,024`, `4k`, `−3.4`, `100%`) or from `data-value`; empty cells and dashes come last either way.
"""

SCRIPT = """
"use strict";
(() => {
  const UNITS = {"": 1, "%": 1, k: 1e3, M: 1e6, B: 1e9};
  const NUMBER = /^([+-]?\\d[\\d,]*(?:\\.\\d+)?(?:e[+-]?\\d+)?)\\s?([%kMB]?)(?![\\w.])/;
  const ORDERS = ["ascending", "descending", null];

  const textOf = (unit, column) => {
    const cell = (unit.rows ? unit.rows[0] : unit).cells[column];
    const text = cell ? (cell.dataset.value ?? cell.textContent).trim() : "";
    return text === "–" ? "" : text;
  };
  const numberOf = (text) => {
    const found = NUMBER.exec(text.replace("−", "-"));
    return found ? Number(found[1].replaceAll(",", "")) * UNITS[found[2]] : NaN;
  };
  const unitsOf = (table) => [...(table.tBodies.length > 1 ? table.tBodies : table.tBodies[0].rows)];

  const sorted = (units, column, order) => {
    const texts = units.map((unit) => textOf(unit, column));
    const numbers = texts.map(numberOf);
    const isNumeric = texts.every((text, index) => text === "" || !Number.isNaN(numbers[index]));
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => {
      if (texts[a] === "" || texts[b] === "") return (texts[a] === "") - (texts[b] === "");
      const difference = isNumeric
        ? numbers[a] - numbers[b]
        : texts[a].localeCompare(texts[b], undefined, {numeric: true});
      return sign * difference;
    };
    return units.map((_, index) => index).sort(compare).map((index) => units[index]);
  };

  for (const table of document.querySelectorAll("table")) {
    if (!table.tHead || !table.tBodies.length) continue;
    const asWritten = unitsOf(table);
    if (asWritten.length < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = ORDERS[(ORDERS.indexOf(head.getAttribute("aria-sort")) + 1) % ORDERS.length];
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        if (order) head.setAttribute("aria-sort", order);
        for (const unit of order ? sorted(asWritten, column, order) : asWritten) {
          if (unit.rows) table.insertBefore(unit, table.tFoot);
          else table.tBodies[0].append(unit);
        }
      });
    });
  }

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details:not([open])")) {
      each.open = true;
      opened.push(each);
    }
  });
  addEventListener("afterprint", () => opened.splice(0).forEach((each) => { each.open = false; }));
})();
"""
