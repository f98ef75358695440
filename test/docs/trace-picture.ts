/** Draws a trace as an SVG: its spans as a tree on the left, and when each one was on the right. */
import { inTree } from "../jaeger/spans.ts";

export type DrawnSpan = {
  readonly id: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly service: string;
  /** Milliseconds. */
  readonly startedAt: number;
  readonly tookMs: number;
  readonly isError: boolean;
  /** Stands behind its time, such as the reason of an error. */
  readonly note?: string | undefined;
};

const width = 960;
const margin = 16;
const rowHeight = 24;
const barHeight = 12;
const indent = 14;
/** Where the times begin, and where they end: behind it a bar's own time has room. */
const from = 250;
const to = width - 130;
const headHeight = 64;
const leastBarWidth = 2;
/** For the name of each service, above on the right. */
const legendWidth = 90;

/** Both themes are in the file, each with a background of its own: whoever shows it decides. */
const style = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; }
  .small { font-size: 11px; fill: #59636e; }
  .paper { fill: #ffffff; }
  .grid { stroke: #d1d9e0; }
  .s0 { fill: #8250df; } .s1 { fill: #0969da; } .s2 { fill: #1a7f37; } .s3 { fill: #bc4c00; }
  .error { fill: #cf222e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    .paper { fill: #0d1117; }
    .grid { stroke: #30363d; }
    .s0 { fill: #a371f7; } .s1 { fill: #4493f8; } .s2 { fill: #3fb950; } .s3 { fill: #db6d28; }
    .error { fill: #f85149; }
  }
`;
const colours = 4;

/** `title` is above it, and what is read out where it cannot be seen. Needs one span at least. */
export function drawTrace(spans: readonly DrawnSpan[], title: string): string {
  const placed = inTree(spans.toSorted((a, b) => a.startedAt - b.startedAt));
  const start = Math.min(...spans.map(({ startedAt }) => startedAt));
  const lengthMs = Math.max(...spans.map(({ startedAt, tookMs }) => startedAt + tookMs - start), 0.001);
  const services = [...new Set(placed.map(({ span }) => span.service))];
  const height = headHeight + placed.length * rowHeight + margin;
  const at = (ms: number) => round(from + ((to - from) * ms) / lengthMs);
  const colourOf = (service: string) => `s${services.indexOf(service) % colours}`;

  const legend = services.map((service, index) => {
    const x = width - margin - (services.length - index) * legendWidth;
    return `<rect class="${colourOf(service)}" x="${x}" y="${margin}" width="10" height="10" rx="2"/>${text(x + 15, margin + 9, service, "small")}`;
  });
  const ticks = ticksOf(lengthMs).map((ms) => {
    const x = at(ms);
    return `<line class="grid" x1="${x}" y1="${headHeight - 12}" x2="${x}" y2="${height - margin}"/>${text(x, headHeight - 17, milliseconds(ms), "small", "middle")}`;
  });
  const rows = placed.map(({ span, depth }, row) => {
    const y = headHeight + row * rowHeight;
    const base = y + rowHeight / 2 + 4;
    const x = at(span.startedAt - start);
    const end = Math.max(at(span.startedAt - start + span.tookMs), x + leastBarWidth);
    const label = [milliseconds(span.tookMs), span.note].filter(Boolean).join("  ");
    const bar = `<rect class="${span.isError ? "error" : colourOf(span.service)}" x="${x}" y="${y + (rowHeight - barHeight) / 2}" width="${round(end - x)}" height="${barHeight}" rx="2"/>`;
    return `${text(margin + depth * indent, base, span.name)}${bar}${text(end + 6, base, label, "small")}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escaped(title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="paper" width="${width}" height="${height}" rx="6"/>`,
    text(margin, margin + 10, title, "title"),
    ...legend,
    ...ticks,
    ...rows,
    "</svg>\n",
  ].join("\n");
}

/** From 0 in steps of 1, 2 or 5 times a power of ten, so that there are four to ten. */
function ticksOf(lengthMs: number): number[] {
  const rough = lengthMs / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? power;
  return Array.from({ length: Math.floor(lengthMs / step) + 1 }, (_, index) => index * step);
}

/** `0 ms`, `40 µs`, `1.2 ms`, `345 ms`, `1.5 s`. */
function milliseconds(ms: number): string {
  if (ms > 0 && ms < 0.1) return `${Math.round(ms * 1000)} µs`;
  if (ms >= 1000) return `${Number((ms / 1000).toFixed(2))} s`;
  return `${Number(ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0))} ms`;
}

function text(x: number, y: number, content: string, kind?: string, anchor?: "middle"): string {
  const attributes = [kind && ` class="${kind}"`, anchor && ` text-anchor="${anchor}"`].filter(Boolean).join("");
  return `<text x="${x}" y="${y}"${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function round(number: number): number {
  return Number(number.toFixed(1));
}
