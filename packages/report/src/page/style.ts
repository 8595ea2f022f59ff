/** Colours on a light ground, as CSS custom properties. After Okabe and Ito, safe for colour-blind eyes. */
export const lightPalette = `--page: #fbfbf9; --card: #ffffff; --ink: #1c2024; --soft: #5a636b; --rule: #dfe2e0; --wash: #f1f2ef;
  --dense: #c2500a; --sparse: #7fa3bf; --line: #0b5c8f; --faint: #c9ced1; --band: rgb(11 92 143 / 10%);
  --link: #0b5c8f; --heat: 230 120 20; --warn: #8a5a00; --warn-wash: #fdf3dc; --warn-rule: #e5bf6a; --good: #10694c; --good-wash: #e3f3ec;
  --step-0: #08417a; --step-1: #2469a5; --step-2: #5591c1; --step-3: #8fb9d8; --step-4: #c9dcea; --step-5: #f3f2ee;
  --step-6: #f6dcc2; --step-7: #f0b98a; --step-8: #dd8d4d; --step-9: #bd6420; --step-10: #8a3d06;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #cc79a7; --series-4: #b07c00; --series-5: #56b4e9;
  --series-6: #7a4ea8; --series-7: #5a636b;`;

/** The page's style sheet: no fonts, images or anything else to fetch. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  ${lightPalette}
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1b1f23; --ink: #e6e8ea; --soft: #a2abb3; --rule: #31373d; --wash: #22272c;
    --dense: #f08a3c; --sparse: #587d9b; --line: #7cc0ee; --faint: #49525a; --band: rgb(124 192 238 / 14%);
    --link: #8cc7ef; --heat: 240 138 60; --warn: #f0cd83; --warn-wash: #322813; --warn-rule: #6e5620; --good: #7fd6b2; --good-wash: #14302a;
    --step-0: #9fd0f5; --step-1: #74b1e0; --step-2: #4c8cbd; --step-3: #376789; --step-4: #2b4558; --step-5: #23282d;
    --step-6: #4b3722; --step-7: #784d24; --step-8: #a76628; --step-9: #d98537; --step-10: #ffb26b;
    --series-0: #5db4ee; --series-1: #f08a3c; --series-2: #4fd0a5; --series-3: #e5a3c8; --series-4: #f0c24b; --series-5: #a7d8f7;
    --series-6: #bb98e0; --series-7: #a2abb3;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 4rem; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
.wrap { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
a { color: var(--link); text-underline-offset: 2px; }
a:focus-visible, summary:focus-visible, input:focus-visible, select:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code, .mono { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; font-size: .88em; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; letter-spacing: -.01em; }
h1 { font-size: clamp(1.5rem, 3.6vw, 2.15rem); margin: .2em 0 .35em; overflow-wrap: anywhere; }
h2 { font-size: 1.45rem; margin: 0 0 .6rem; }
h3 { font-size: 1.02rem; margin: 0 0 .5rem; }
section { margin: 3.2rem 0; }
p { margin: .6rem 0; max-width: 72ch; }
.soft { color: var(--soft); }
.eyebrow { font-size: .78rem; letter-spacing: .12em; text-transform: uppercase; color: var(--soft); margin: 0; }
header.top { padding-top: 3rem; }
header.top h1 code { font-size: .82em; font-weight: 600; letter-spacing: -.02em; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 1rem 1.6rem; margin: 1.6rem 0 0; padding: 1.1rem 0; border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
.facts div { min-width: 0; }
.facts dt { font-size: .78rem; color: var(--soft); }
.facts dd { margin: .1rem 0 0; overflow-wrap: anywhere; line-height: 1.4; }
.facts small { color: var(--soft); font-size: .84rem; }
nav.contents { position: sticky; top: 0; z-index: 2; background: color-mix(in srgb, var(--page) 92%, transparent); backdrop-filter: blur(6px); border-bottom: 1px solid var(--rule); }
nav.contents ul { display: flex; gap: 1.3rem; list-style: none; margin: 0 auto; padding: .65rem 24px; max-width: 1120px; overflow-x: auto; font-size: .9rem; }
nav.contents a { color: var(--soft); text-decoration: none; white-space: nowrap; }
nav.contents a:hover { color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin: 1.4rem 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .9rem 1.1rem 1rem; }
.tile b { display: block; font-size: 1.75rem; line-height: 1.15; font-variant-numeric: tabular-nums; letter-spacing: -.02em; font-weight: 650; }
.tile span { color: var(--soft); font-size: .86rem; line-height: 1.35; display: block; margin-top: .2rem; }
ul.findings { padding-left: 1.2rem; margin: 1rem 0; max-width: 78ch; }
ul.findings li { margin: .45rem 0; }
.banner { border: 1px solid var(--warn-rule); background: var(--warn-wash); color: var(--warn); border-radius: 10px; padding: .9rem 1.2rem; margin: 1.4rem 0; }
.banner b { display: block; }
.banner p { margin: .25rem 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .5rem 1rem .5rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { font-weight: 600; font-size: .82rem; color: var(--soft); vertical-align: bottom; line-height: 1.3; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.number + td:not(.number), th.number + th:not(.number) { padding-left: .8rem; }
tbody th { font-weight: 600; white-space: nowrap; }
td.soft { min-width: 15rem; }
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px; }
figure { margin: 0; min-width: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 1.1rem 1.2rem 1rem; }
figure.wide { grid-column: 1 / -1; }
figure svg { display: block; width: 100%; height: auto; color: var(--soft); }
figcaption { color: var(--soft); font-size: .87rem; line-height: 1.5; margin-top: .5rem; }
.panels { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 14px; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .2rem 0 .6rem; padding: 0; font-size: .87rem; }
.legend li { overflow-wrap: anywhere; min-width: 0; }
.legend i { display: inline-block; width: 1.6em; border-top: 3px solid; vertical-align: .25em; margin-right: .45em; }
.legend i.broken { border-top-style: dashed; }
${Array.from({ length: 8 }, (_, place) => `.series-${place} { border-color: var(--series-${place}); }`).join("\n")}
.scale { white-space: nowrap; font-variant-numeric: tabular-nums; }
.scale i { display: inline-block; width: 11px; height: 11px; vertical-align: -1px; }
${Array.from({ length: 11 }, (_, step) => `.step-${step} { background: var(--step-${step}); }`).join("\n")}
.controls { display: flex; flex-wrap: wrap; gap: 10px 14px; align-items: end; margin: 1rem 0; }
.controls[hidden] { display: none; }
.controls label { font-size: .82rem; color: var(--soft); display: grid; gap: 3px; min-width: 0; }
.controls label.grow { flex: 1 1 220px; }
.controls input, .controls select { font: inherit; font-size: .95rem; color: var(--ink); background: var(--card); border: 1px solid var(--faint); border-radius: 7px; padding: .42rem .6rem; width: 100%; min-width: 0; }
.controls output { font-size: .88rem; color: var(--soft); padding-bottom: .5rem; }
.latent { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 1.1rem 1.3rem 1.2rem; margin: 0 0 16px; content-visibility: auto; contain-intrinsic-size: auto 620px; }
.latent:target { border-color: var(--dense); box-shadow: 0 0 0 1px var(--dense); }
.latent[hidden] { display: none; }
.latent header { display: flex; flex-wrap: wrap; gap: .3rem .9rem; align-items: baseline; }
.latent h3 { font-size: 1.15rem; margin: 0; font-variant-numeric: tabular-nums; }
.latent h3 a { color: inherit; text-decoration: none; }
.chip { display: inline-block; font-size: .78rem; line-height: 1.3; border-radius: 99px; padding: .16rem .65rem; border: 1px solid var(--rule); color: var(--soft); white-space: nowrap; }
.chip.label { background: var(--good-wash); border-color: transparent; color: var(--good); font-weight: 600; }
.chip.held { background: var(--warn-wash); border-color: transparent; color: var(--warn); }
.stats { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: .7rem 1.4rem; margin: .8rem 0 .2rem; }
.stats div { min-width: 0; }
.stats dt { font-size: .76rem; color: var(--soft); }
.stats dd { margin: 0; font-variant-numeric: tabular-nums; font-size: .95rem; line-height: 1.45; }
.stats small { color: var(--soft); }
.meter { height: 5px; background: var(--wash); border-radius: 3px; margin-top: 5px; overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--dense); border-radius: 3px; }
.lens { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .4rem 1.6rem; margin: .9rem 0 .6rem; }
.lens h4, .latent h4 { font-size: .78rem; font-weight: 600; color: var(--soft); margin: 0 0 .3rem; }
.bars svg { display: block; width: 100%; height: 56px; color: var(--faint); }
.bars small { display: flex; justify-content: space-between; color: var(--soft); font-variant-numeric: tabular-nums; font-size: .78rem; }
.explanation { font-size: 1.05rem; margin: .5rem 0; overflow-wrap: anywhere; unicode-bidi: isolate; }
.tokens { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px; }
.tokens li { background: var(--wash); border-radius: 5px; padding: .08rem .4rem; max-width: 100%; overflow-wrap: anywhere; unicode-bidi: isolate; }
.contexts { list-style: none; margin: 0; padding: 0; }
.contexts li { border-top: 1px solid var(--rule); padding: .5rem 0; font-size: .93rem; line-height: 1.75; overflow-wrap: anywhere; }
.contexts q { quotes: none; unicode-bidi: isolate; }
.contexts b { font-weight: inherit; border-radius: 3px; padding: .12em 0; }
.contexts b.peak { font-weight: 650; box-shadow: inset 0 -2px 0 var(--dense); }
.contexts cite { display: block; font-style: normal; font-size: .78rem; color: var(--soft); line-height: 1.4; }
${Array.from({ length: 9 }, (_, step) => `.h${step + 1} { background: rgb(var(--heat) / ${6 * (step + 1)}%); }`).join("\n")}
details summary { cursor: pointer; color: var(--link); font-size: .88rem; padding: .3rem 0; }
.config { columns: 2 320px; column-gap: 2.4rem; font-size: .88rem; padding: 0; list-style: none; }
.config li { break-inside: avoid; display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--rule); padding: .22rem 0; }
.config span:last-child { text-align: right; overflow-wrap: anywhere; min-width: 0; }
footer { border-top: 1px solid var(--rule); margin-top: 4rem; padding: 1.4rem 0 3rem; color: var(--soft); font-size: .88rem; }
@media (max-width: 760px) {
  .wrap, nav.contents ul { padding-left: 16px; padding-right: 16px; }
  .figures, .lens, .panels { grid-template-columns: minmax(0, 1fr); }
  .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  section { margin: 2.4rem 0; }
  figure, .latent { padding: .9rem; }
  header.top { padding-top: 1.8rem; }
}
@media print {
  :root { color-scheme: light; }
  nav.contents, .controls { display: none; }
  body { font-size: 10.5pt; background: #fff; }
  .latent { content-visibility: visible; }
  .latent, figure, tr { break-inside: avoid; }
  .contexts b { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  a { color: inherit; text-decoration: none; }
}
`;
