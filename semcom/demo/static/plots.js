// Small plots as SVG elements: no library, nothing from anywhere.
"use strict";
const SVG = "http://www.w3.org/2000/svg";

function svgElement(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function constellation(points) {
  const most = Math.max(1.6, ...points.map(p => Math.min(3, Math.max(Math.abs(p[0]), Math.abs(p[1])))));
  const svg = svgElement("svg", {viewBox: "0 0 200 200", role: "img"});
  svg.append(svgElement("path", {d: "M0 100H200M100 0V200", class: "axis"}));
  for (const [i, q] of points) {
    svg.append(svgElement("circle", {cx: 100 + 98 * i / most, cy: 100 - 98 * q / most, r: 1.6, class: "dot"}));
  }
  return svg;
}

function curve(rows, metric, systems) {
  const svg = svgElement("svg", {viewBox: "0 0 360 220", role: "img"});
  const shown = rows.filter(row => Number.isFinite(row[metric]));
  if (!shown.length) return svg;
  const xs = shown.map(row => row.snr_db), ys = shown.map(row => row[metric]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const x = value => 48 + 296 * (x1 > x0 ? (value - x0) / (x1 - x0) : 0.5);
  const y = value => 182 - 160 * (y1 > y0 ? (value - y0) / (y1 - y0) : 0.5);
  svg.append(svgElement("path", {d: "M48 14V186H348", class: "axis", fill: "none"}));
  for (const value of new Set([y0, (y0 + y1) / 2, y1]))
    svg.append(svgElement("text", {x: 43, y: y(value) + 4, "text-anchor": "end"}, value.toPrecision(3)));
  for (const value of new Set(xs))
    svg.append(svgElement("text", {x: x(value), y: 200, "text-anchor": "middle"}, value));
  svg.append(svgElement("text", {x: 198, y: 216, "text-anchor": "middle"}, "SNR (dB)"));
  systems.forEach((system, index) => {
    const mine = shown.filter(row => row.system === system), kind = index ? "theirs" : "mine";
    const path = mine.map(row => `${x(row.snr_db)},${y(row[metric])}`).join(" ");
    svg.append(svgElement("polyline", {points: path, class: kind, "stroke-width": 2}));
    for (const row of mine)
      svg.append(svgElement("circle", {cx: x(row.snr_db), cy: y(row[metric]), r: 3, class: kind}));
    svg.append(svgElement("text", {x: 60 + 90 * index, y: 12, class: kind}, system));
  });
  return svg;
}
