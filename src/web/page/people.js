// Who is enrolled: the list, searched and read page by page.

import { addPerson } from './add.js';
import * as api from './api.js';
import { button, element, icon, notice } from './elements.js';
import { openPerson } from './person.js';
import { portrait } from './portraits.js';
import { search, titleOf, whenTyped } from './search.js';
import { t, tally } from './texts.js';

const PAGE = 60;

export function show(place, context) {
  const part = new People(context);
  part.build(place);
  return () => part.close();
}

class People {
  constructor(context) {
    this.context = context;
    this.work = new AbortController();
    this.asked = 0;
  }

  build(place) {
    const add = api.may('enroll') ? button(t('people.add'), { icon: 'add', kind: 'primary', press: () => this.add() }) : null;
    place.append(element('div', { class: 'heading' }, element('div', {}, element('h1', {}, t('people.title')), this.lead = element('p', { class: 'lead' })), add));
    if (!api.may('read')) {
      this.lead.textContent = t('people.unseen');
      return;
    }
    this.input = element('input', { type: 'search', class: 'search', placeholder: t('people.search.hint'), 'aria-label': t('people.search'), autocomplete: 'off', spellcheck: 'false', on: { input: whenTyped(() => this.load()) } });
    this.list = element('ul', { class: 'people' });
    this.foot = element('div', { class: 'foot' });
    place.append(element('div', { class: 'searching' }, icon('search'), this.input), this.list, this.foot);
    this.load();
  }

  close() {
    this.work.abort();
  }

  async add() {
    const added = await addPerson(this.context);
    if (added) {
      if (added !== true) {
        await openPerson(this.context, added);
      }
      await this.context.refresh();
      this.load();
    }
  }

  // The first page of the list, or of what is searched for.
  async load() {
    if (!this.list) {
      return;
    }
    this.next = null;
    await this.more(true);
  }

  async more(isFirst = false) {
    const text = this.input.value.trim();
    this.asked += 1;
    const turn = this.asked;
    try {
      const { signal } = this.work;
      const query = { limit: PAGE, cursor: this.next, name_prefix: text };
      const isSearch = text && isFirst;
      const found = isSearch
        ? await search(this.context, text, PAGE, signal)
        : await api.call('GET', api.within(this.context.partition, 'classes'), { query, signal });
      if (turn === this.asked) {
        this.draw(found, isFirst, text);
      }
    } catch (error) {
      if (error.name !== 'AbortError' && turn === this.asked) {
        this.fail(error);
      }
    }
  }

  fail(error) {
    this.list.replaceChildren();
    this.lead.textContent = '';
    const isNew = error.code === 'partition_not_found';
    const words = isNew ? this.nobody() : notice('bad', error.text ?? t('problem.internal'), error.message);
    this.foot.replaceChildren(words);
  }

  nobody() {
    return element('div', { class: 'invitation' }, icon('people'), element('p', {}, t('people.nobody', { gallery: this.context.partition })));
  }

  draw(found, isFirst, text) {
    if (isFirst) {
      this.list.replaceChildren();
    }
    this.next = found.next;
    const first = this.list.children.length;
    this.list.append(...found.classes.map((record) => this.card(record)));
    const count = this.list.children.length;
    this.lead.textContent = found.next ? tally('people.first', count) : tally('people.count', count);
    if (found.next) {
      this.foot.replaceChildren(button(t('people.more'), { press: async () => {
        await this.more();
        this.list.children[count]?.querySelector('button').focus();
      } }));
    } else if (count === 0) {
      this.foot.replaceChildren(text ? element('p', { class: 'quiet-text' }, t('people.none', { text })) : this.nobody());
    } else {
      this.foot.replaceChildren();
    }
    return first;
  }

  card(record) {
    const parts = [element('strong', {}, titleOf(record)), element('span', { class: 'quiet-text' }, tally('people.pictures', record.templates))];
    const open = element('button', { type: 'button', class: 'person', on: { click: async () => {
      const changed = await openPerson(this.context, record.class);
      if (changed && !this.work.signal.aborted) {
        this.load();
      }
    } } }, portrait(this.context, record), element('span', { class: 'words' }, ...parts));
    return element('li', {}, open);
  }
}
