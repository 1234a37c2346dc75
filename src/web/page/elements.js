// Elements of the page. Whatever comes from a server or a person becomes a text node, never markup.

import { t } from './texts.js';

const TOAST_MILLISECONDS = 6_000;
const SVG = 'http://www.w3.org/2000/svg';

// The lines of the icons, in a square of 24.
const ICONS = {
  face: ['M4 9V6a2 2 0 0 1 2-2h3M15 4h3a2 2 0 0 1 2 2v3M20 15v3a2 2 0 0 1-2 2h-3M9 20H6a2 2 0 0 1-2-2v-3', 'M9.5 10v1M14.5 10v1M9.5 14.500c1.300 1.300 3.700 1.300 5 0'],
  people: ['M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.4-3.5 3-5.5 6.5-5.500s6.100 2 6.5 5.5', 'M16 4.300a3.5 3.5 0 0 1 0 6.400M18.5 15c1.800.8 2.800 2.5 3 5'],
  watch: ['M3 12h4l3-8 4 16 3-8h4'],
  camera: ['M4 8h3l1.5-2.500h7L17 8h3a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V9a1 1 0 0 1 1-1Z', 'M12 16.500a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Z'],
  file: ['M4 16.500V19a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-2.5', 'M12 15V4M7.5 8 12 3.5 16.5 8'],
  add: ['M12 5v14M5 12h14'],
  search: ['M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM16 16l5 5'],
  edit: ['M4 20l1-4L16 5l3 3L8 19l-4 1Z'],
  merge: ['M6 4c0 5 6 4 6 9v7M18 4c0 5-6 4-6 9M8.5 16.5 12 20l3.5-3.5'],
  swap: ['M7 4 3.5 7.5 7 11M3.5 7.500H20M17 13l3.5 3.500L17 20M20.5 16.500H4'],
  remove: ['M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13'],
  close: ['M6 6l12 12M18 6 6 18'],
  out: ['M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M11 12h10M17.5 8.5 21 12l-3.5 3.5'],
  key: ['M14.5 13a4.5 4.5 0 1 0-4.200-3L3 17.300V21h3.700v-2.500H9V16h2l1.300-1.300c.7.2 1.400.3 2.200.3Z'],
  check: ['M5 12.5 10 17.5 19.5 7'],
  warn: ['M12 4 2.5 20h19L12 4ZM12 10v4.500M12 17.300v.2'],
  live: ['M12 13a3.5 4.5 0 1 0 0-9 3.5 4.5 0 0 0 0 9Z', 'M3.5 12c-2 4 3 8 8.5 8s10.5-4 8.5-8M6 15l-2.5-3L1 14.5'],
  save: ['M12 4v11M7.5 10.5 12 15l4.5-4.500M4 19.500h16'],
};

// An element with attributes, listeners (`on`) and children. `null` children are passed over.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  set(made, attributes);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// The same in the language of drawings.
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function set(made, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'on') {
      for (const [event, listener] of Object.entries(value)) {
        made.addEventListener(event, listener);
      }
    } else if (key in made && typeof value !== 'string') {
      made[key] = value;
    } else if (value !== null && value !== undefined) {
      made.setAttribute(key, value);
    }
  }
}

export function icon(name) {
  const paths = ICONS[name].map((line) => drawing('path', { d: line }));
  return drawing('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, ...paths);
}

// A button with an icon, or none, and words. What is done by it may take long: it rests meanwhile.
export function button(label, { icon: name = null, kind = '', press, ...attributes } = {}) {
  const made = element('button', { type: 'button', class: `button ${kind}`, ...attributes },
    name ? icon(name) : null, element('span', {}, label));
  if (press) {
    made.addEventListener('click', async () => {
      if (made.getAttribute('aria-busy') === 'true') {
        return;
      }
      made.setAttribute('aria-busy', 'true');
      try {
        await press(made);
      } finally {
        made.removeAttribute('aria-busy');
      }
    });
  }
  return made;
}

let fields = 0;

// A field with its label, and what is to be said of it.
export function field(label, input, hint = null) {
  fields += 1;
  input.id ||= `field-${fields}`;
  const parts = [element('label', { for: input.id }, label), input];
  if (hint) {
    const id = `${input.id}-hint`;
    input.setAttribute('aria-describedby', id);
    parts.push(element('p', { class: 'hint', id }, hint));
  }
  return element('div', { class: 'field' }, ...parts);
}

// A box that is ticked or not, with words beside it.
export function tick(label, checked, change) {
  const input = element('input', { type: 'checkbox', checked, on: { change: () => change(input.checked) } });
  return element('label', { class: 'tick' }, input, element('span', {}, label));
}

// What went wrong, or is well: said aloud by screen readers at once.
export function notice(kind, text, detail = null) {
  const name = { bad: 'warn', good: 'check', info: 'face' }[kind];
  return element('div', { class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : 'status' }, icon(name),
    element('div', {}, element('p', {}, text), detail ? element('p', { class: 'detail', lang: 'en' }, detail) : null));
}

// Initials on a colour that belongs to the name.
export function avatar(name, key) {
  const words = (name ?? '').trim().split(/\s+/u).filter((word) => word);
  const picked = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  const letters = picked.map((word) => [...word].find((letter) => /[\p{L}\p{N}]/u.test(letter)) ?? '').join('');
  let hash = 0;
  for (const letter of `${name ?? ''}${key}`) {
    hash = (hash * 31 + letter.codePointAt(0)) % 997;
  }
  return element('span', { class: `avatar hue-${hash % 8}`, 'aria-hidden': 'true' },
    letters.toLocaleUpperCase() || '#');
}

// How alike a face is, with the mark from which on it counts as the same person.
export function likeness(similarity, threshold) {
  const part = (value) => `${Math.max(0, Math.min(1, value)) * 100}%`;
  const bar = element('span', { class: 'bar' });
  bar.style.width = part(similarity);
  const made = element('span', { class: 'likeness', 'aria-hidden': 'true' }, bar);
  if (threshold !== null && threshold !== undefined) {
    const mark = element('span', { class: 'mark' });
    mark.style.left = part(threshold);
    made.append(mark);
  }
  return made;
}

// A dialog over the page. `fill` gets it and a function that closes it. The returned promise is kept
// when it is closed.
export function dialog(title, fill, { wide = false } = {}) {
  return new Promise((done) => {
    const heading = element('h2', { id: `dialog-${fields += 1}`, tabindex: '-1' }, title);
    const made = element('dialog', { class: wide ? 'wide' : '', 'aria-labelledby': heading.id });
    const close = (value) => {
      made.returned = value;
      made.close();
    };
    const body = element('div', { class: 'dialog-body' });
    const shut = element('button', { type: 'button', class: 'button quiet square', 'aria-label': t('dialog.close'), on: { click: () => close() } }, icon('close'));
    made.append(element('header', {}, heading, shut), body, toasts());
    made.addEventListener('close', () => {
      made.dispatchEvent(new Event('gone'));
      made.remove();
      done(made.returned);
    });
    fill(body, close, made);
    document.body.append(made);
    made.showModal();
  });
}

// Where short things are said. A dialog has its own, since what is behind it is neither seen nor heard.
export function toasts() {
  return element('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
}

// Says a short thing in a corner, also to those who hear the page.
export function toast(text) {
  const made = element('div', { class: 'toast' }, icon('check'), element('span', {}, text));
  // Not in a dialog that closes at once.
  setTimeout(() => {
    const open = [...document.querySelectorAll('dialog[open]')].pop() ?? document;
    open.querySelector('.toasts').append(made);
    setTimeout(() => made.remove(), TOAST_MILLISECONDS);
  });
}
