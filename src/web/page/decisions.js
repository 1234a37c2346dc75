// Identifications that two people must confirm: the last ones, and what this key says of them.

import * as api from './api.js';
import { button, dialog, element, field, icon, notice, toast } from './elements.js';
import { titleOf } from './search.js';
import { t, tally, time } from './texts.js';

const PAGE = 30;
const MARKS = { pending: 'watch', confirmed: 'check', rejected: 'close' };

export function may() {
  return api.may('audit') || api.may('confirm');
}

export function show(place) {
  const part = new Decisions();
  part.build(place);
  return () => part.close();
}

class Decisions {
  constructor() {
    this.work = new AbortController();
    this.next = null;
  }

  build(place) {
    const again = api.may('audit') ? button(t('decisions.again'), { press: () => this.load() }) : null;
    this.list = element('ul', { class: 'decisions' });
    this.foot = element('div', { class: 'foot' });
    this.said = element('div', { class: 'answer', 'aria-live': 'polite' });
    place.append(element('div', { class: 'heading' }, element('div', {}, element('h1', {}, t('decisions.title')), element('p', { class: 'lead' }, t('decisions.lead'))), again));
    if (api.may('confirm')) {
      place.append(this.finder());
    } else {
      place.append(notice('info', t('decisions.readonly')));
    }
    place.append(this.said, this.list, this.foot);
    if (api.may('audit')) {
      this.load();
    }
  }

  close() {
    this.work.abort();
  }

  // By the name that whoever asked has told: who may not see the list can confirm all the same.
  finder() {
    const input = element('input', { type: 'text', required: true, autocomplete: 'off', spellcheck: 'false', class: 'decision-name' });
    const go = element('button', { type: 'submit', class: 'button' }, t('decisions.find.go'));
    return element('form', { class: 'finding', on: { submit: (event) => {
      event.preventDefault();
      this.find(input.value.trim());
    } } }, field(t('decisions.find'), input), go);
  }

  async find(name) {
    try {
      const found = await api.call('GET', `decisions/${encodeURIComponent(name)}`, { signal: this.work.signal });
      this.said.replaceChildren();
      this.list.querySelector(`[data-decision="${CSS.escape(found.decision_id)}"]`)?.remove();
      const card = this.card(found);
      this.list.prepend(card);
      card.querySelector('h2').focus();
    } catch (error) {
      this.fail(error);
    }
  }

  async load() {
    this.next = null;
    await this.more(true);
  }

  async more(isFirst = false) {
    try {
      const query = { limit: PAGE, cursor: this.next };
      const found = await api.call('GET', 'decisions', { query, signal: this.work.signal });
      this.said.replaceChildren();
      this.draw(found, isFirst);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    if (error.name !== 'AbortError') {
      this.said.replaceChildren(notice('bad', error.text ?? t('problem.internal'), error.message));
    }
  }

  draw(found, isFirst) {
    if (isFirst) {
      this.list.replaceChildren();
    }
    this.next = found.next;
    const count = this.list.children.length;
    this.list.append(...found.decisions.map((decision) => this.card(decision)));
    this.foot.replaceChildren();
    if (found.next) {
      this.foot.append(button(t('decisions.more'), { press: async () => {
        await this.more();
        this.list.children[count + found.decisions.length]?.querySelector('h2').focus();
      } }));
    } else if (!this.list.children.length) {
      this.foot.append(element('p', { class: 'quiet-text' }, t('decisions.none')));
    }
  }

  card(decision) {
    const { state, candidates } = decision;
    const words = t(`decisions.state.${state}`);
    const title = candidates?.length ? titleOf(candidates[0]) : t('decisions.hidden');
    const facts = [[t('decisions.time'), time(decision.made_unix_milliseconds)], [t('decisions.gallery'), decision.partition], [t('decisions.key'), decision.asked_by], [t('decisions.votes'), this.votes(decision)]];
    const list = element('dl', { class: 'facts' }, ...facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))));
    const parts = [element('h2', { tabindex: '-1' }, title), element('p', { class: `state ${state}` }, icon(MARKS[state]), element('span', {}, words))];
    if (decision.ambiguous) {
      parts.push(element('p', { class: 'unsure' }, icon('warn'), element('span', {}, t('decisions.ambiguous'))));
    }
    if (candidates && candidates.length > 1) {
      const others = candidates.slice(1, 6).map(titleOf).join(', ');
      parts.push(element('p', { class: 'quiet-text' }, t('decisions.others', { names: others })));
    }
    const card = element('li', { class: 'card', 'data-decision': decision.decision_id }, ...parts, list);
    const why = this.whyNot(decision);
    if (why !== null) {
      card.append(element('p', { class: 'quiet-text' }, why));
    } else if (state === 'pending' && api.may('confirm')) {
      card.append(element('div', { class: 'buttons' },
        button(t('decisions.agree'), { icon: 'check', kind: 'primary', 'aria-label': t('decisions.agree.of', { name: title }), press: () => this.say(card, decision, title, true) }),
        button(t('decisions.disagree'), { icon: 'close', 'aria-label': t('decisions.disagree.of', { name: title }), press: () => this.say(card, decision, title, false) })));
    }
    return card;
  }

  votes({ votes }) {
    return votes.length ? votes.map((vote) => `${vote.key} (${this.voteOf(vote)})`).join(', ') : t('decisions.nobody');
  }

  voteOf({ agrees }) {
    if (agrees === null) {
      return t('decisions.vote.hidden');
    }
    return agrees ? t('decisions.vote.yes') : t('decisions.vote.no');
  }

  // Why this key has nothing more to say of a decision; null if it may.
  whyNot({ state, asked_by, votes }) {
    const own = api.signedIn().key.id;
    if (state !== 'pending') {
      return null;
    }
    if (asked_by === own) {
      return t('decisions.own');
    }
    return votes.some((vote) => vote.key === own) ? tally('decisions.spoken', 2 - votes.length) : null;
  }

  // It cannot be taken back, so that it is asked for once more.
  async say(card, decision, title, agrees) {
    const isSure = await dialog(agrees ? t('decisions.agree.title') : t('decisions.disagree.title'), (body, close) => {
      const words = agrees ? t('decisions.agree.ask', { name: title }) : t('decisions.disagree.ask', { name: title });
      body.append(element('p', {}, words), element('div', { class: 'actions' },
        button(t('decisions.back'), { press: () => close(false) }),
        button(agrees ? t('decisions.agree') : t('decisions.disagree'), { kind: 'primary', press: () => close(true) })));
    });
    if (!isSure) {
      return;
    }
    try {
      const said = await api.call('POST', `decisions/${encodeURIComponent(decision.decision_id)}/confirm`, { json: { agrees } });
      const now = this.card(said);
      card.replaceWith(now);
      now.querySelector('h2').focus();
      toast(t('decisions.said'));
    } catch (error) {
      card.append(notice('bad', error.text ?? t('problem.internal'), error.message));
    }
  }
}
