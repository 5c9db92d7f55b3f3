"""How the report looks, on a screen and on paper.

In:  nothing.
Out: one style sheet.
Light, one column of 1040 px; colours are printed too, and no figure is cut by the end of a page.
"""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { margin: 0; background: #ffffff; color: #222222;
  font: 15px/1.5 "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 30px; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 12px; padding-bottom: 5px; border-bottom: 2px solid #dddddd; }
h3 { font-size: 15px; margin: 18px 0 8px; }
p { margin: 0 0 8px; }
.kind { color: #666666; text-transform: uppercase; letter-spacing: .08em; font-size: 12px; margin: 0; }
code, pre { font: 13px/1.5 Consolas, Menlo, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
pre { background: #f5f5f3; padding: 12px 14px; white-space: pre-wrap; overflow-wrap: anywhere;
  border-radius: 4px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 16px; }
.tile { border: 1px solid #dddddd; border-radius: 6px; padding: 8px 14px; min-width: 118px;
  max-width: 240px; }
.tile .label { color: #555555; font-size: 13px; }
.tile .value { font-size: 22px; font-weight: 600; }
.note { color: #666666; font-size: 13px; }
.tile .note { overflow-wrap: anywhere; }
.missing { color: #7a4b00; background: #fff6e5; padding: 8px 12px; border-radius: 4px; }
.swatch { display: inline-block; width: 11px; height: 11px; border: 1px solid #555555;
  border-radius: 2px; vertical-align: -1px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr));
  gap: 26px 34px; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
svg .chart-title { font-size: 14px; font-weight: 600; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(150px, 100%), 1fr)); gap: 8px;
  font-size: 13px; color: #444444; }
.examples p span { white-space: nowrap; }
.sharp { image-rendering: pixelated; }
figure { margin: 0 0 20px; break-inside: avoid; }
figcaption { font-size: 13px; color: #444444; margin-top: 4px; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 14px; }
th { font-weight: 600; text-align: right; padding: 4px 10px; vertical-align: bottom; }
td { text-align: right; padding: 4px 10px; border-top: 1px solid #e4e4e4;
  font-variant-numeric: tabular-nums; }
th.row { text-align: left; border-top: 1px solid #e4e4e4; min-width: 96px; overflow-wrap: anywhere; }
tr:first-child th.row { border-top: 0; }
tr.best td, tr.best th { background: #eef4fa; font-weight: 600; }
table.confusion td { text-align: center; min-width: 92px; padding: 6px 8px; border: 1px solid #ffffff; }
table.confusion th { text-align: center; }
table.confusion th.row { text-align: left; border: 0; vertical-align: middle; }
table.confusion th.over { color: #666666; font-weight: 400; padding-bottom: 0; }
.scores { display: flex; flex-wrap: wrap; gap: 10px 50px; align-items: flex-start; }
.scores > div { overflow-x: auto; max-width: 100%; }
details { margin: 14px 0 4px; }
summary { cursor: pointer; color: #0b5394; }
table.facts td { text-align: left; }
table.facts td:last-child { overflow-wrap: anywhere; }
table.facts td:first-child { color: #555555; min-width: 100px; }
.wide { overflow-x: auto; }
table.inputs { font-size: 13px; width: 100%; }
table.inputs th.row { min-width: 110px; }
table.numbers th + th, table.inputs th + th { min-width: 66px; }
table.inputs td { white-space: nowrap; }
table.inputs td.path { white-space: normal; }
table.inputs td.path { text-align: left; border-top: 0; padding-top: 0; color: #555555; font-size: 12px;
  overflow-wrap: anywhere; }
.options { columns: 2 420px; column-gap: 40px; }
.options div { break-inside: avoid; }
.options h3 { margin-top: 0; }
.options table { width: 100%; font-size: 13px; margin-bottom: 14px; }
.options td { text-align: left; padding: 2px 6px; vertical-align: top; }
.options td:first-child { color: #555555; width: 45%; }
.options td:last-child { overflow-wrap: anywhere; }
.options tr.changed td:last-child { font-weight: 600; }
@media (max-width: 640px) {
  main { padding: 16px 14px 40px; }
  h1 { font-size: 24px; }
  table { font-size: 13px; }
  th, td { padding: 4px 6px; }
  table.confusion td { min-width: 74px; padding: 5px 4px; }
  .tile { flex: 1 1 118px; }
}
@media print {
  @page { margin: 14mm; }
  main { padding: 0; max-width: none; }
  body { font-size: 10pt; }
  pre { break-inside: avoid; }
  h2, h3, h2 + p, h3 + p { break-after: avoid; }
  table.inputs { font-size: 8pt; }
  table.inputs th, table.inputs td { padding: 3px 5px; }
  .options { columns: 2 240px; }
  table tr, .tile, .charts > div, .scores > div { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .panels { grid-template-columns: repeat(4, 1fr); }
  summary { display: none; }
}
"""
