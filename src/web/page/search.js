// People who are looked for, and what they are called.

import * as api from './api.js';
import { element, field, icon, notice } from './elements.js';
import { portrait } from './portraits.js';
import { t, tally } from './texts.js';

export const SUGGESTIONS = 5;
const TYPING_MILLISECONDS = 200;

// What a person is called here: by name, else by whatever else there is.
export function titleOf(record) {
  return record.name || record.external_id || t('people.unnamed', { class: record.class });
}

// Calls `later` when somebody has stopped typing.
export function whenTyped(later) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(later, TYPING_MILLISECONDS);
  };
}

// Those whom a text may mean: names that begin with it, that external id, that number.
export async function search(context, text, limit, signal) {
  const classes = api.within(context.partition, 'classes');
  const asked = [
    api.call('GET', classes, { query: { name_prefix: text, limit }, signal }),
    api.call('GET', classes, { query: { external_id: text, limit }, signal }),
  ];
  if (/^-?\d{1,19}$/.test(text)) {
    const one = api.call('GET', api.within(context.partition, 'classes', text), { signal });
    asked.push(one.then((found) => ({ classes: [found], next: null }), () => ({ classes: [], next: null })));
  }
  const pages = await Promise.all(asked);
  const found = new Map(pages.flatMap((page) => page.classes).map((record) => [record.class, record]));
  return { classes: [...found.values()], next: pages[0].next };
}

// A search field with radio buttons for whom it finds, or boxes to tick if there is `picked`, those who
// are ticked by class. `except` is not among them.
export function chooser(context, label, choose, { except, picked } = {}) {
  const options = element('div', { class: 'options', role: picked ? 'group' : 'radiogroup', 'aria-label': label });
  const input = element('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
  const name = `choice-${Math.random()}`;
  let asked = 0;
  const look = async () => {
    asked += 1;
    const turn = asked;
    const text = input.value.trim();
    const classes = api.within(context.partition, 'classes');
    try {
      const found = text ? await search(context, text, 2 * SUGGESTIONS) : await api.call('GET', classes, { query: { limit: 2 * SUGGESTIONS } });
      if (turn === asked) {
        const others = found.classes.filter((one) => one.class !== except).slice(0, SUGGESTIONS);
        options.replaceChildren(...others.map((one) => option(context, name, one, (event) => choose(one, event.target.checked), picked?.has(one.class), picked ? 'checkbox' : 'radio')));
      }
    } catch (error) {
      options.replaceChildren(notice('bad', error.text ?? t('problem.internal')));
    }
  };
  input.addEventListener('input', whenTyped(look));
  look();
  return element('div', {}, field(label, input, t('people.search.hint')), options);
}

export function option(context, name, record, picked, isChecked = false, type = 'radio') {
  const input = element('input', { type, name, value: record?.class ?? '', checked: isChecked, on: { change: picked } });
  const words = record ? [element('strong', {}, titleOf(record)), element('span', { class: 'quiet-text' }, `${record.class} · ${tally('people.pictures', record.templates)}`)] : [element('strong', {}, t('name.new'))];
  return element('label', { class: 'option' }, input, record ? portrait(context, record) : element('span', { class: 'avatar new', 'aria-hidden': 'true' }, icon('add')), element('span', { class: 'words' }, ...words));
}
