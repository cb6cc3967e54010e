"""The style of the report and the dashboard. It loads no font and no other file."""

CSS = """
:root { color-scheme: light; --ink:#1f2933; --soft:#52606d; --line:#e4e7eb; --paper:#f5f7fa; --accent:#0072B2; }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif; }
.page { max-width:1360px; margin:0 auto; padding:20px 20px 48px; }
h1 { font-size:24px; line-height:1.25; margin:0 0 2px; overflow-wrap:anywhere; }
h2 { font-size:17px; margin:0 0 10px; }
h3 { font-size:15px; margin:22px 0 8px; }
p { margin:0 0 10px; }
.answer { font-size:16px; max-width:110ch; }
.soft { color:var(--soft); }
.card { background:white; border:1px solid var(--line); border-radius:10px; padding:16px 18px; margin-top:16px;
  min-width:0; }
.note { background:#fff7e0; border:1px solid #e6c65c; border-radius:10px; padding:10px 16px; margin-top:14px; }
.columns { display:grid; grid-template-columns:minmax(0,1.55fr) minmax(0,1fr); gap:16px; align-items:start; }
.scroll { overflow-x:auto; }
.facts + .scroll { margin-top:16px; }
.scroll + p, .tall + p { margin-top:10px; }
.tall { max-height:480px; overflow:auto; }
table { border-collapse:collapse; width:100%; font-size:13px; font-variant-numeric:tabular-nums; }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:2px solid var(--line); vertical-align:bottom;
  background:white; }
.tall th { position:sticky; top:0; }
th, td { padding:6px 10px 6px 0; }
td { border-bottom:1px solid var(--line); vertical-align:top; white-space:nowrap; }
td.label { white-space:normal; min-width:12em; }
td.wide { white-space:normal; min-width:16em; overflow-wrap:anywhere; }
td.key { white-space:normal; min-width:26em;
  font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; font-size:12px; }
td.key span { display:inline-block; margin-right:.7em; }
tr.picked td { background:#e6f2fa; }
tr[data-key], tr[data-trials], tr[data-line] { cursor:pointer; }
.facts { display:grid; grid-template-columns:max-content minmax(0,1fr) max-content minmax(0,1fr);
  gap:3px 16px; margin:0; font-size:14px; }
.facts dt { color:var(--soft); } .facts dd { margin:0; overflow-wrap:anywhere; }
.chips { display:flex; flex-wrap:wrap; gap:8px; margin-top:10px; }
.chip { border:1px solid var(--line); background:white; border-radius:99px; padding:2px 12px; font-size:13px; }
.warn { background:#fff7e0; border-color:#e6c65c; font-weight:600; margin-left:10px; white-space:nowrap;
  display:inline-block; }
button { font:inherit; font-size:13px; border:1px solid var(--line); background:var(--paper); border-radius:8px;
  padding:2px 10px; cursor:pointer; margin-left:6px; }
[hidden] { display:none !important; }
.bar { height:8px; background:var(--line); border-radius:99px; overflow:hidden; margin-top:10px; }
.bar > div { height:100%; background:var(--accent); border-radius:99px; transition:width .3s; }
pre { background:var(--paper); border:1px solid var(--line); border-radius:8px; padding:10px 12px; margin:0;
  font:12px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; overflow:auto; max-height:340px; }
details { margin-top:10px; } summary { cursor:pointer; font-weight:600; }
details > *:not(summary) { margin-top:8px; }
.facts.one { grid-template-columns:max-content minmax(0,1fr); }
@media (max-width:1000px) { .facts { grid-template-columns:max-content minmax(0,1fr); }
  .columns { grid-template-columns:minmax(0,1fr); } .page { padding:14px 12px 40px; } }
"""
