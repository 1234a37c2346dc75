// What the page says, in the language of whoever reads it. All of it is in texts.json.

let all = {};
let language = 'en';

// Reads the texts, and takes the first language of the browser that there is.
export async function load() {
  all = await (await fetch('page/texts.json')).json();
  const wanted = navigator.languages.map((name) => name.toLowerCase().split('-')[0]);
  choose(wanted.find((name) => name in all) ?? 'en');
}

export function choose(name) {
  language = name;
  document.documentElement.lang = name;
}

export function chosen() {
  return language;
}

// The languages that there are, each by its own name.
export function languages() {
  return Object.entries(all).map(([name, texts]) => [name, texts.language]);
}

export function has(key) {
  return key in all[language];
}

// A text with its gaps, such as `{name}`, filled.
export function t(key, gaps = {}) {
  const text = all[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, gap) => String(gaps[gap] ?? ''));
}

// A text about a number of things, which has a form for one and one for others.
export function tally(key, count, gaps = {}) {
  const rule = new Intl.PluralRules(language).select(count);
  const form = has(`${key}.${rule}`) ? rule : 'other';
  return t(`${key}.${form}`, { ...gaps, count: number(count) });
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

export function bytes(value) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  const digits = at > 0 && value < 10 ? 1 : 0;
  return new Intl.NumberFormat(language, { style: 'unit', unit: units[at], unitDisplay: 'short', maximumFractionDigits: digits }).format(value);
}

export function date(milliseconds) {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium' }).format(milliseconds);
}

export function time(milliseconds) {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(milliseconds);
}

// How long something has lasted, in one unit.
export function lasting(seconds) {
  const [size, unit] = [[86_400, 'day'], [3_600, 'hour'], [60, 'minute'], [1, 'second']].find(([size_]) => seconds >= size_) ?? [1, 'second'];
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 0 }).format(Math.floor(seconds / size));
}
