"""The script of a dataset's page: shows the articles that hold the words and match the choices."""

FILTER_SCRIPT = """
"use strict";
(() => {
  const controls = document.querySelector(".controls");
  const articles = [...document.querySelectorAll("article[data-status]")];
  const field = (name) => controls.querySelector(`[name=${name}]`);
  const choices = ["status", "kind", "task"].map((name) => [name, field(name)]);
  const [search, least, most] = ["search", "least", "most"].map(field);
  const texts = new Map();
  const textOf = (article) => {
    // A page may hold megabytes, so each text is made small once, when it is first looked through.
    if (!texts.has(article)) texts.set(article, article.textContent.toLowerCase());
    return texts.get(article);
  };

  const update = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const isShown = (article) => {
      const data = article.dataset;
      if (choices.some(([name, choice]) => choice.value && data[name] !== choice.value)) return false;
      const tokens = data.tokens === undefined ? NaN : Number(data.tokens);
      if (least.value && !(tokens >= Number(least.value))) return false;
      if (most.value && !(tokens <= Number(most.value))) return false;
      return words.every((word) => textOf(article).includes(word));
    };
    let numShown = 0;
    for (const article of articles) {
      article.hidden = !isShown(article);
      numShown += article.hidden ? 0 : 1;
    }
    controls.querySelector("output").textContent =
      `${numShown.toLocaleString("en")} of ${articles.length.toLocaleString("en")} shown`;
  };

  controls.hidden = false;
  controls.addEventListener("input", update);
  // A browser that goes back to the page fills the fields in again.
  addEventListener("pageshow", update);
  update();
})();
"""
