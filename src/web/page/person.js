// One person: what there is, changed, merged, and deleted.

import { addPictures } from './add.js';
import * as api from './api.js';
import { button, dialog, element, field, icon, notice, toast } from './elements.js';
import { portrait } from './portraits.js';
import { chooser, titleOf } from './search.js';
import { date, number, t, tally, time } from './texts.js';

const DAY_MILLISECONDS = 86_400_000;

// Shows all that there is of a person, to be changed. Gives whether something was.
export async function openPerson(context, number_) {
  let isChanged = false;
  await dialog(t('person.title'), (body, close, made) => {
    const person = new Person(context, number_, body, close, () => {
      isChanged = true;
    });
    made.addEventListener('gone', () => person.close());
    person.load();
  }, { wide: true });
  return isChanged;
}

class Person {
  constructor(context, number_, body, close, changed) {
    this.context = context;
    this.class = number_;
    this.body = body;
    this.shut = close;
    this.changed = changed;
    this.work = new AbortController();
  }

  get path() {
    return api.within(this.context.partition, 'classes', this.class);
  }

  close() {
    this.work.abort();
  }

  async load() {
    const { signal } = this.work;
    try {
      const [record, kept] = await Promise.all([
        api.call('GET', this.path, { signal }),
        api.call('GET', `${this.path}/templates`, { signal }).catch(() => null),
      ]);
      this.record = record;
      this.draw(record, kept);
    } catch (error) {
      if (error.name !== 'AbortError') {
        this.body.replaceChildren(notice('bad', error.text ?? t('problem.internal'), error.message));
      }
    }
  }

  draw(record, kept) {
    const head = element('div', { class: 'person-head' }, portrait(this.context, record),
      element('div', { class: 'words' }, element('h3', {}, titleOf(record)), element('p', { class: 'quiet-text' }, t('person.number', { class: record.class, gallery: this.context.partition }))));
    const labels = Object.entries(record.labels ?? {}).map(([key, value]) => element('li', {}, `${key}: ${value}`));
    const parts = [head, labels.length ? element('ul', { class: 'labels' }, ...labels) : null, this.facts(record), this.pictures(kept)];
    if (api.may('enroll')) {
      parts.push(this.form(record));
    }
    parts.push(this.actions(record));
    this.body.replaceChildren(...parts.filter((part) => part));
  }

  facts(record) {
    const rows = [
      [t('person.pictures'), number(record.templates)],
      [t('person.first'), record.first_enrolled_unix_milliseconds === null ? null : date(record.first_enrolled_unix_milliseconds)],
      [t('person.last'), record.last_enrolled_unix_milliseconds === null ? null : date(record.last_enrolled_unix_milliseconds)],
      [t('person.match'), record.last_match_unix_milliseconds ? time(record.last_match_unix_milliseconds) : t('person.never')],
      [t('person.quality'), record.best_quality === null || record.best_quality === undefined ? null : number(record.best_quality, 2)],
      [t('person.threshold'), record.threshold === null || record.threshold === undefined ? null : number(record.threshold, 2)],
    ];
    const shown = rows.filter(([, value]) => value !== null);
    return element('dl', { class: 'facts' }, ...shown.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))));
  }

  pictures(kept) {
    const list = kept?.templates ?? [];
    if (!list.length) {
      return null;
    }
    // A person keeps one picture at least: all of them are merged.
    const mayMove = api.may('enroll') && list.length > 1;
    const picked = new Set();
    const go = button(t('move.open'), { icon: 'swap', kind: 'small', disabled: true, press: () => this.move([...picked]) });
    const rows = list.map((one) => {
      const at = one.enrolled_unix_milliseconds;
      const quality = one.quality === null || one.quality === undefined ? t('person.unknown') : number(one.quality, 2);
      const words = [element('span', {}, at ? date(at) : ''), element('span', { class: 'quiet-text' }, t('person.quality.of', { quality }))];
      if (!mayMove) {
        return element('li', {}, ...words);
      }
      const tick = element('input', { type: 'checkbox', on: { change: () => {
        picked[tick.checked ? 'add' : 'delete'](one.template);
        go.disabled = !picked.size || picked.size === list.length;
      } } });
      return element('li', {}, element('label', {}, tick, ...words));
    });
    const move = mayMove ? [element('p', { class: 'quiet-text' }, t('move.hint')), go] : [];
    return element('details', { class: 'more' }, element('summary', {}, tally('person.kept', list.length)), element('ul', { class: 'kept' }, ...rows), ...move);
  }

  form(record) {
    const name = element('input', { type: 'text', value: record.name ?? '', autocomplete: 'off' });
    const external = element('input', { type: 'text', value: record.external_id ?? '', autocomplete: 'off', spellcheck: 'false' });
    const note = element('textarea', { rows: '2' });
    note.value = record.note ?? '';
    const labels = element('input', { type: 'text', value: writtenLabels(record.labels), autocomplete: 'off', spellcheck: 'false', placeholder: 'site:berlin' });
    const until = element('input', { type: 'date', value: dayOf(record.expires_unix_milliseconds) });
    const answer = element('div', { class: 'answer' });
    const save = element('button', { type: 'submit', class: 'button' }, icon('check'), element('span', {}, t('person.save')));
    return element('form', { class: 'record', on: { submit: async (event) => {
      event.preventDefault();
      const patch = { name: name.value.trim() || null, external_id: external.value.trim() || null, note: note.value.trim() || null,
        labels: changedLabels(record.labels, labels.value), expires_unix_milliseconds: until.value === dayOf(record.expires_unix_milliseconds) ? record.expires_unix_milliseconds ?? null : momentOf(until.value) };
      await this.save(patch, answer);
    } } }, field(t('person.name'), name), element('details', { class: 'more', open: Boolean(record.external_id || record.note || record.expires_unix_milliseconds || labels.value) },
      element('summary', {}, t('person.more')), field(t('person.external'), external, t('person.external.hint')), field(t('person.labels'), labels, t('person.labels.hint')),
      field(t('person.note'), note), field(t('person.expires'), until, t('person.expires.hint'))), answer, save);
  }

  async save(patch, answer) {
    try {
      const record = await api.call('PATCH', this.path, { json: patch });
      this.changed();
      toast(t('person.saved', { name: titleOf(record) }));
      await this.load();
    } catch (error) {
      answer.replaceChildren(notice('bad', error.text, error.message));
    }
  }

  actions(record) {
    const actions = [];
    if (api.may('enroll')) {
      actions.push(button(t('person.add'), { icon: 'camera', press: async () => {
        if (await addPictures(this.context, record)) {
          this.changed();
          await this.load();
        }
      } }));
    }
    if (api.may('enroll') && api.may('delete')) {
      actions.push(button(t('person.merge'), { icon: 'merge', press: () => this.merge(record) }));
    }
    if (api.may('delete')) {
      actions.push(button(t('person.delete'), { icon: 'remove', kind: 'danger', press: () => this.remove(record) }));
    }
    return actions.length ? element('div', { class: 'buttons end' }, ...actions) : null;
  }

  async merge(record) {
    const kept = await mergePeople(this.context, record);
    if (kept) {
      this.changed();
      this.class = kept;
      await this.load();
    }
  }

  async move(templates) {
    if (await moveTemplates(this.context, this.record, templates)) {
      this.changed();
      await this.load();
    }
  }

  async remove(record) {
    if (await removePerson(this.context, record, this.path)) {
      this.changed();
      this.shut();
    }
  }
}

// Joins a person with others, who are searched for. Gives the class that is left, if it was done.
function mergePeople(context, record) {
  return dialog(t('merge.title', { name: titleOf(record) }), (body, close) => {
    const others = new Map();
    let keepsOther = true;
    const answer = element('div', { class: 'answer' });
    const plan = element('div', { class: 'plan' });
    // Several go to the one whom they are merged with.
    const sides = () => {
      const all = [...others.values()];
      return keepsOther && all.length === 1 ? [all[0], [record]] : [record, all];
    };
    const go = button(t('merge.go'), { icon: 'merge', kind: 'primary', disabled: true, press: async () => {
      const [into, all] = sides();
      for (const from of all) {
        try {
          await api.call('POST', api.within(context.partition, 'classes', into.class, 'merge'), { json: { from: from.class } });
        } catch (error) {
          answer.replaceChildren(notice('bad', `${titleOf(from)} (${from.class}): ${error.text}`, error.message));
          return;
        }
        others.delete(from.class);
        toast(t('merge.done', { from: titleOf(from), into: titleOf(into) }));
      }
      close(into.class);
    } });
    const drawPlan = () => {
      const [into, all] = sides();
      go.disabled = !others.size;
      if (!others.size) {
        plan.replaceChildren();
        return;
      }
      const swap = others.size > 1 ? '' : button(t('merge.swap'), { icon: 'swap', kind: 'small quiet', press: () => {
        keepsOther = !keepsOther;
        drawPlan();
      } });
      const said = (one) => `${titleOf(one)} (${one.class})`;
      plan.replaceChildren(...all.map((from) => element('p', {}, t('merge.plan', { from: said(from), into: said(into) }))), swap);
    };
    const found = chooser(context, t('merge.with'), (picked, isPicked) => {
      others[isPicked ? 'set' : 'delete'](picked.class, picked);
      drawPlan();
    }, { except: record.class, picked: others });
    body.append(element('p', { class: 'lead' }, t('merge.lead')), found, plan, answer, element('div', { class: 'actions' }, go));
  });
}

// Gives pictures of a person to somebody else, who is searched for. Gives whether it was done.
function moveTemplates(context, record, templates) {
  return dialog(t('move.title'), (body, close) => {
    let to = null;
    const answer = element('div', { class: 'answer' });
    const go = button(t('move.go'), { icon: 'swap', kind: 'primary', disabled: true, press: async () => {
      try {
        await api.call('POST', api.within(context.partition, 'classes', record.class, 'move'), { json: { templates, to: to.class } });
        toast(tally('move.done', templates.length, { to: titleOf(to) }));
        close(true);
      } catch (error) {
        answer.replaceChildren(notice('bad', error.text, error.message));
      }
    } });
    const found = chooser(context, t('move.to'), (picked) => {
      to = picked;
      go.disabled = false;
    }, { except: record.class });
    body.append(element('p', { class: 'lead' }, tally('move.lead', templates.length, { name: titleOf(record) })), found, answer, element('div', { class: 'actions' }, go));
  });
}

// Deletes a person and shows the receipt. Gives whether it was done.
function removePerson(context, record, path) {
  let isDone = false;
  const asked = dialog(t('delete.title', { name: titleOf(record) }), (body, close, made) => {
    const answer = element('div', { class: 'answer' });
    const go = button(t('delete.go'), { icon: 'remove', kind: 'danger', press: async () => {
      try {
        const done = await api.call('DELETE', path);
        isDone = true;
        receipt(body, close, { record, gallery: context.partition, answer: done });
        made.querySelector('h2').textContent = t('delete.done');
        made.querySelector('h2').focus();
      } catch (error) {
        answer.replaceChildren(notice('bad', error.text, error.message));
      }
    } });
    const keep = button(t('delete.keep'), { press: () => close() });
    body.append(element('p', {}, tally('delete.ask', record.templates, { name: titleOf(record) })), answer, element('div', { class: 'actions' }, keep, go));
  });
  return asked.then(() => isDone);
}

function receipt(body, close, { record, gallery, answer }) {
  const now = Date.now();
  const rows = [[t('person.name'), titleOf(record)], [t('receipt.class'), record.class], [t('gallery.label'), gallery], [t('person.pictures'), number(record.templates)],
    [t('receipt.time'), time(now)], [t('receipt.request'), answer.requestId ?? '–']];
  const kept = { gallery, class: record.class, name: record.name ?? null, external_id: record.external_id ?? null, templates: record.templates,
    deleted: new Date(now).toISOString(), request_id: answer.requestId, key_id: api.signedIn()?.key.id ?? null, answer };
  const save = button(t('receipt.save'), { icon: 'save', press: () => {
    const url = URL.createObjectURL(new Blob([`${JSON.stringify(kept, null, 2)}\n`], { type: 'application/json' }));
    const link = element('a', { href: url, download: `deleted-${gallery}-${record.class}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } });
  const text = answer.was_enrolled ? t('receipt.gone') : t('receipt.was-gone');
  body.replaceChildren(notice('good', text),
    element('dl', { class: 'facts receipt' }, ...rows.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))),
    element('div', { class: 'actions' }, save, button(t('receipt.close'), { kind: 'primary', press: () => close() })));
}

// `site:berlin, role:guest`
function writtenLabels(labels) {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}:${value}`).join(', ');
}

// A merge patch that makes the labels those that are written.
function changedLabels(before, written) {
  const pairs = written.split(',').map((part) => part.trim()).filter((part) => part).map((part) => {
    const [key, ...value] = part.split(':');
    return [key.trim(), value.join(':').trim()];
  });
  const gone = Object.keys(before ?? {}).map((key) => [key, null]);
  return Object.fromEntries([...gone, ...pairs]);
}

function dayOf(milliseconds) {
  if (!milliseconds) {
    return '';
  }
  const day = new Date(milliseconds - new Date(milliseconds).getTimezoneOffset() * 60_000);
  return day.toISOString().slice(0, 10);
}

// The end of a day, as clocks here show it.
function momentOf(day) {
  return day ? new Date(`${day}T00:00:00`).getTime() + DAY_MILLISECONDS : null;
}
