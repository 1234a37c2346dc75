// Lines over the last minutes, with their present values as text beside them.

import { drawing, element } from './elements.js';
import { t } from './texts.js';

const POINTS = 90;
const WIDTH = 600;
const HEIGHT = 120;

// A chart of several series. `format` writes a value for people.
export class Chart {
  constructor(title, names, format, { least = 0 } = {}) {
    this.format = format;
    this.least = least;
    this.rows = [];
    this.values = names.map(() => element('output', {}, '–'));
    this.lines = names.map((_, at) => drawing('path', { class: `line line-${at}`, fill: 'none', 'vector-effect': 'non-scaling-stroke' }));
    this.areas = names.map((_, at) => drawing('path', { class: `area line-${at}` }));
    this.top = element('span', { class: 'top-value' });
    const grid = [0.25, 0.5, 0.75].map((part) => drawing('line', { class: 'grid', x1: 0, x2: WIDTH, y1: part * HEIGHT, y2: part * HEIGHT, 'vector-effect': 'non-scaling-stroke' }));
    const picture = drawing('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...grid, ...this.areas, ...this.lines);
    const legend = names.map((name, at) => element('li', { class: `line-${at}` }, element('span', { class: 'swatch', 'aria-hidden': 'true' }), element('span', {}, name), this.values[at]));
    this.root = element('figure', { class: 'card chart' }, element('figcaption', {}, title),
      element('div', { class: 'plot' }, picture, this.top), element('div', { class: 'ends', 'aria-hidden': 'true' }, element('span', {}, t('watch.ago')), element('span', {}, t('watch.now'))),
      element('ul', { class: 'legend' }, ...legend));
  }

  // Adds what is true now; `null` where nothing is known.
  push(values) {
    this.rows.push(values);
    this.rows = this.rows.slice(-POINTS);
    const known = this.rows.flat().filter((value) => value !== null);
    const largest = Math.max(this.least, ...known);
    const top = rounded(largest);
    this.top.textContent = known.length ? this.format(top) : '';
    this.values.forEach((value, at) => {
      value.textContent = values[at] === null ? '–' : this.format(values[at]);
      const points = this.points(at, top);
      this.lines[at].setAttribute('d', path(points));
      this.areas[at].setAttribute('d', area(points));
    });
  }

  points(at, top) {
    const first = POINTS - this.rows.length;
    const points = this.rows.map((row, place) => (row[at] === null ? null
      : [((first + place) / (POINTS - 1)) * WIDTH, HEIGHT - (row[at] / top) * (HEIGHT - 6)]));
    return points.filter((point) => point !== null);
  }
}

// The next number of one digit, so that the scale does not jump all the time.
function rounded(value) {
  if (!(value > 0)) {
    return 1;
  }
  const unit = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 2, 3, 5, 8, 10];
  return steps.find((step) => step * unit >= value * 0.999) * unit;
}

function path(points) {
  return points.map(([x, y], at) => `${at ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
}

function area(points) {
  if (points.length < 2) {
    return '';
  }
  const first = points[0][0].toFixed(1);
  const last = points[points.length - 1][0].toFixed(1);
  return `${path(points)}L${last} ${HEIGHT}L${first} ${HEIGHT}Z`;
}
