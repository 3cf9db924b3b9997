"""The style of all pages: system fonts, light and dark, narrow screens, print."""

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #24292f; --pale: #5d6670; --paper: #ffffff; --card: #f5f7f9; --line: #d8dee4; --strong-line: #8b949e;
  --accent: #2f6db3; --good: #1a7f37; --bad: #b5480f; --mark: #ffe9a8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e2e6ea; --pale: #9aa4ae; --paper: #14181d; --card: #1e242b; --line: #343c45; --strong-line: #6e7781;
    --accent: #78b0ee; --good: #4cc46a; --bad: #f0975f; --mark: #574a16;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem max(1rem, env(safe-area-inset-left)) 4rem; max-width: 74rem;
  background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; }
p { margin: .6rem 0; max-width: 46rem; }
ul { padding-left: 1.3rem; max-width: 46rem; }
a { color: var(--accent); }
code, pre { font-family: ui-monospace, monospace; font-size: .86em; }
pre {
  background: var(--card); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto; line-height: 1.45;
  overflow-wrap: normal;
}
.whole { white-space: nowrap; }
.pale, .missing { color: var(--pale); }
.missing { border-left: 3px solid var(--line); padding-left: .8rem; }
.growth { font-size: 1.15rem; font-weight: 650; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }

nav ul {
  list-style: none; display: flex; flex-wrap: wrap; gap: .35rem; padding: 0; margin: 1.4rem 0 0; max-width: none;
}
nav a {
  display: block; padding: .3rem .75rem; border: 1px solid var(--line); border-radius: 999px; text-decoration: none;
  font-size: .9rem;
}
nav a:hover, nav a:focus-visible { border-color: var(--accent); }

dl { margin: .8rem 0; }
dd { margin: 0; }
.headlines {
  display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .7rem; margin: 1.2rem 0;
}
.headlines div { background: var(--card); border-radius: 10px; padding: .7rem .9rem; }
.headlines dt { color: var(--pale); font-size: .82rem; line-height: 1.3; }
.headlines dd { font-size: 1.15rem; font-weight: 650; line-height: 1.3; margin-top: .2rem; }
.headlines small { display: block; font-size: .8rem; font-weight: 400; color: var(--pale); }
.pairs div { display: grid; grid-template-columns: minmax(8rem, 13rem) 1fr; gap: .2rem 1rem; padding: .25rem 0; }
.pairs dt { color: var(--pale); }

.table { overflow-x: auto; margin: 1.1rem 0; }
table {
  border-collapse: collapse; font-size: .9rem; line-height: 1.4; font-variant-numeric: tabular-nums;
  min-width: min(100%, 26rem); overflow-wrap: normal;
}
caption { text-align: left; font-weight: 600; padding: 0 0 .3rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(60rem, calc(100vw - 2rem)); }
th, td { padding: .25rem .7rem; text-align: left; vertical-align: top; }
.table td { min-width: 3.5rem; }
th { font-weight: 400; }
/* The row's name stays while the numbers are pushed along below it. */
th:first-child { padding-left: .2rem; position: sticky; left: 0; background: var(--paper); }
thead th { border-bottom: 2px solid var(--strong-line); vertical-align: bottom; font-weight: 600; font-size: .94em; }
tbody tr, tfoot tr { border-bottom: 1px solid var(--line); }
tfoot th, tfoot td, .main th, .main td { font-weight: 650; }
/* Tables of scores have many narrow columns. */
.scores th, .scores td { padding: .25em .5em; white-space: nowrap; }
.scores th:first-child { padding-left: .2rem; }
.scores thead th { white-space: normal; }
.scores .table td { min-width: 0; }
.more th, .more td { color: var(--pale); font-size: .84em; }
.scores .more th:first-child { padding-left: 1.2rem; }
.number { text-align: right; white-space: nowrap; }
thead .number { white-space: normal; }
.table td:not(.number) { min-width: 8rem; }
thead button {
  all: unset; cursor: pointer; font: inherit; text-align: inherit; border-radius: 3px;
}
thead button::after { content: "\\00a0\\2195"; color: var(--strong-line); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\00a0\\2191"; color: var(--accent); }
th[aria-sort=descending] button::after { content: "\\00a0\\2193"; color: var(--accent); }
thead button:focus-visible, summary:focus-visible, a:focus-visible, .table:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px;
}

.pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.pictures img {
  width: calc(50% - .5rem); height: auto; align-self: flex-start; background: #fff; border-radius: 8px;
}
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); padding: .15rem 0; }
article { background: var(--card); border-radius: 10px; padding: .9rem 1.1rem; margin: 1rem 0; max-width: 60rem; }
article h3 { margin: 0 0 .1rem; }
article p { margin: .35rem 0; max-width: none; }
h4 { margin: .9rem 0 .2rem; font-size: .82rem; color: var(--pale); font-weight: 600; }
.text, .context { white-space: pre-wrap; }
.text p, .context p { white-space: normal; }
.context {
  max-height: 24rem; overflow: auto; padding: .5rem .8rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--paper); font-size: .92rem; line-height: 1.5;
}
.context:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.context details { margin: .3rem 0; }
mark { background: var(--mark); color: inherit; border-radius: 3px; padding: .05em 0; }
article[data-status] { max-width: none; overflow: clip; }
article[data-status=reject] { border-left: 3px solid var(--bad); }
article .table { font-size: .95em; }
article th:first-child { background: var(--card); }
[hidden] { display: none; }
.controls:not([hidden]) {
  position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center;
  padding: .6rem 0; background: var(--paper); border-bottom: 1px solid var(--line); font-size: .9rem;
}
.controls input, .controls select {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--strong-line); border-radius: 6px;
  padding: .2rem .4rem; max-width: 13rem;
}
.controls input[type=number] { width: 6.5rem; }
.controls output { color: var(--pale); }
footer { margin-top: 3rem; color: var(--pale); font-size: .85rem; }

@media (prefers-color-scheme: dark) {
  .pictures img { filter: brightness(.92); padding: 2px; }
}
@media (max-width: 40rem) {
  body { padding-top: 1rem; }
  h1 { font-size: 1.4rem; }
  .headlines { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .pairs div { grid-template-columns: 1fr; gap: 0; }
  .table th:first-child { min-width: 5.5rem; }
  .scores tbody th, .scores tfoot th { white-space: normal; overflow-wrap: anywhere; }
  .pictures img { width: 100%; }
  .controls:not([hidden]) { position: static; }
}
@media print {
  :root {
    color-scheme: light;
    --ink: #000; --pale: #444; --paper: #fff; --card: #f4f4f4; --line: #ccc; --strong-line: #777; --accent: #000;
    --good: #000; --bad: #000; --mark: #ddd;
  }
  @page { margin: 16mm 14mm; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav, .controls:not([hidden]) { display: none; }
  .context { max-height: none; overflow: visible; }
  h2, h3, caption, summary { break-after: avoid; }
  tr, img, article, dl, .table { break-inside: avoid; }
  .table { overflow: visible; }
  table { font-size: 8pt; min-width: 22rem; }
  .table td, .table td:not(.number) { min-width: 0; }
  th, td, .scores th, .scores td { padding: .15rem .35rem; }
  caption span { position: static; max-width: none; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
  thead button::after, th[aria-sort] button::after { content: ""; }
  .pictures img { width: 48%; filter: none; padding: 0; }
  details::details-content { content-visibility: visible; display: block; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 7pt; columns: 2; }
  pre.command { columns: auto; font-size: 8.5pt; }
  a { text-decoration: none; }
}
"""
