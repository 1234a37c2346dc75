// Names a face that was seen in a picture.

import { enroll } from './add.js';
import * as api from './api.js';
import { dialog, element, field, icon, notice, toast } from './elements.js';
import { SUGGESTIONS, option, search, titleOf, whenTyped } from './search.js';
import { t } from './texts.js';


// Asks whom a face shows, somebody new or somebody known, and enrols it. Gives whether it was done.
export function nameFace(context, blob, face, small) {
  return dialog(t('name.title'), (body, close) => {
    let chosen = null;
    const name = element('input', { type: 'text', autocomplete: 'off' });
    const options = element('div', { class: 'options', role: 'radiogroup', 'aria-label': t('name.who') });
    const answer = element('div', { class: 'answer' });
    const draw = (known) => {
      chosen = null;
      const rows = known.map((record) => option(context, 'who', record, () => {
        chosen = record;
      }));
      const isNew = option(context, 'who', null, () => {
        chosen = null;
      }, true);
      options.replaceChildren(...(known.length ? [isNew, ...rows] : []));
    };
    let asked = 0;
    const look = whenTyped(async () => {
      asked += 1;
      const turn = asked;
      const text = name.value.trim();
      const found = text && api.may('read') ? await search(context, text, SUGGESTIONS).catch(() => null) : null;
      if (turn === asked) {
        draw((found?.classes ?? []).slice(0, SUGGESTIONS));
      }
    });
    name.addEventListener('input', look);
    const go = element('button', { type: 'submit', class: 'button primary' }, icon('add'), element('span', {}, t('name.go')));
    const form = element('form', { on: { submit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        const record = { name: name.value.trim() || null };
        const done = await enroll(context, chosen?.class ?? null, chosen ? {} : record, [{ blob, box: face.box }]);
        await context.refresh();
        toast(t('name.done', { name: titleOf(chosen ?? { ...record, class: done.class }) }));
        close(true);
      } catch (error) {
        answer.replaceChildren(notice('bad', error.text ?? t('problem.internal'), error.message));
      }
      go.disabled = false;
    } } }, field(t('person.name'), name, t('name.hint')), options, answer, element('div', { class: 'actions' }, go));
    body.append(element('div', { class: 'naming' }, small, form));
    setTimeout(() => name.focus());
  });
}
