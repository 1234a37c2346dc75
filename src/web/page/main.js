// The frame of the page: who is signed in, which gallery is meant, and which of the parts is shown.

import * as api from './api.js';
import * as decisions from './decisions.js';
import * as identify from './identify.js';
import * as people from './people.js';
import * as watch from './watch.js';
import { button, dialog, element, field, icon, notice, toasts } from './elements.js';
import { showSignIn } from './signin.js';
import * as texts from './texts.js';
import { t } from './texts.js';

const PING_MILLISECONDS = 10_000;
const LOST_PING_MILLISECONDS = 2_000;
const GALLERIES_MAX = 1000;

// Before anything else, so that it does not stay where others look.
let ticket = takeTicket();

const PARTS = {
  identify: { show: identify.show, icon: 'face', label: () => t('nav.identify'), may: () => api.may('identify') },
  people: { show: people.show, icon: 'people', label: () => t('nav.people'), may: () => api.may('read') || api.may('enroll') },
  decisions: { show: decisions.show, icon: 'check', label: () => t('nav.decisions'), may: decisions.may },
  watch: { show: watch.show, icon: 'watch', label: () => t('nav.watch'), may: () => true },
};

const context = {
  partition: null,
  partitions: [],
  // A gallery comes into being with its first person.
  async refresh() {
    await findGalleries();
    drawGalleries();
  },
};

let closePart = () => {};
let firstPage = null;
let main;
let banner;

function takeTicket() {
  const found = /^#ticket=([\w-]+)$/.exec(location.hash);
  if (found) {
    history.replaceState(null, '', location.pathname + location.search);
  }
  return found ? found[1] : null;
}

function partNow() {
  const wanted = location.hash.slice(1);
  const allowed = Object.keys(PARTS).filter((name) => PARTS[name].may());
  return allowed.includes(wanted) ? wanted : allowed[0];
}

function draw() {
  closePart();
  closePart = () => {};
  document.querySelectorAll('dialog').forEach((open) => open.close());
  const isIn = api.signedIn() !== null;
  main = element('main', { id: 'main', tabindex: '-1' });
  banner = element('div', { class: 'banner', role: 'alert', hidden: true });
  const skip = element('a', { class: 'skip', href: '#main', on: { click: (event) => {
    event.preventDefault();
    main.focus();
  } } }, t('nav.skip'));
  const top = element('header', { class: 'top' },
    element('span', { class: 'brand' }, element('img', { src: 'page/icon.svg', alt: '', width: '32', height: '32' }), element('span', {}, 'Vultus')),
    isIn ? navigation() : null,
    element('div', { class: 'tools' }, isIn ? galleryChoice() : null, languageChoice(), isIn ? signOutButton() : null));
  document.body.replaceChildren(skip, top, banner, main, toasts());
  document.body.classList.toggle('out', !isIn);
  if (isIn) {
    drawGalleries();
    drawPart();
  } else {
    document.title = 'Vultus';
    showSignIn(main, enter);
  }
}

function navigation() {
  const links = Object.entries(PARTS).filter(([, part]) => part.may()).map(([name, part]) =>
    element('a', { href: `#${name}`, 'data-part': name }, icon(part.icon), element('span', {}, part.label())));
  return element('nav', { 'aria-label': t('nav.label') }, ...links);
}

function languageChoice() {
  const options = texts.languages().map(([name, own]) => element('option', { value: name, lang: name, selected: name === texts.chosen() }, own));
  return element('select', { 'aria-label': t('nav.language'), class: 'language', on: { change: (event) => {
    texts.choose(event.target.value);
    draw();
    document.querySelector('.language').focus();
  } } }, ...options);
}

function signOutButton() {
  return button(t('nav.out'), { icon: 'out', kind: 'quiet out', 'aria-label': t('nav.out'), press: () => api.signOut() });
}

function galleryChoice() {
  return element('select', { class: 'gallery', 'aria-label': t('gallery.label'), on: { change: async (event) => {
    if (event.target.value === '+') {
      const made = await askGallery();
      context.partition = made ?? context.partition;
    } else {
      context.partition = event.target.value;
    }
    drawGalleries();
    drawPart();
  } } });
}

function drawGalleries() {
  const select = document.querySelector('select.gallery');
  const names = [...new Set([...context.partitions, context.partition])].filter((name) => name);
  const options = names.map((name) => element('option', { value: name, selected: name === context.partition }, name));
  const isOne = /\./.test(api.signedIn().key.reach);
  if (!isOne) {
    options.push(element('option', { value: '+' }, t('gallery.other')));
  }
  select.replaceChildren(...options);
}

// Asks for the name of a gallery that is not in the list.
function askGallery() {
  return dialog(t('gallery.title'), (body, close) => {
    const input = element('input', { type: 'text', required: true, autocomplete: 'off', spellcheck: 'false', pattern: '[A-Za-z0-9_\\-]+\\.-?[0-9]+', value: firstGallery() });
    const form = element('form', { on: { submit: (event) => {
      event.preventDefault();
      close(input.value.trim());
    } } }, field(t('gallery.name'), input, t('gallery.hint')), element('div', { class: 'actions' }, element('button', { type: 'submit', class: 'button primary' }, t('gallery.open'))));
    body.append(form);
  });
}

function firstGallery() {
  const { reach } = api.signedIn().key;
  if (/\./.test(reach)) {
    return reach;
  }
  return reach === 'everything' ? 'people.1' : `${reach}.1`;
}

async function findGalleries() {
  const found = [];
  if (api.may('read')) {
    let cursor = null;
    do {
      const page = await api.call('GET', 'partitions', { query: { limit: GALLERIES_MAX, cursor } });
      found.push(...page.partitions.map((one) => one.partition));
      cursor = page.next;
    } while (cursor && found.length < GALLERIES_MAX);
  }
  context.partitions = found;
  context.partition ??= found[0] ?? firstGallery();
}

function drawPart() {
  document.querySelectorAll('dialog').forEach((open) => open.close());
  closePart();
  closePart = () => {};
  const name = partNow();
  document.querySelectorAll('nav a').forEach((link) => {
    if (link.dataset.part === name) {
      link.setAttribute('aria-current', 'page');
    } else {
      link.removeAttribute('aria-current');
    }
  });
  const part = PARTS[name];
  document.title = `${part.label()} – Vultus`;
  main.className = `part-${name}`;
  main.replaceChildren();
  closePart = part.show(main, context) ?? (() => {});
}

// Begins with a key that is good.
async function enter(given) {
  await api.signIn(given);
  try {
    context.partition = null;
    await findGalleries();
  } catch (error) {
    api.signOut();
    throw error;
  }
  draw();
  main.focus();
}

function showBanner(text, action = null) {
  banner.replaceChildren(icon('warn'), element('span', {}, text), action ?? '');
  banner.hidden = false;
}

async function lookAfterServer() {
  for (;;) {
    const answers = await api.ping();
    if (answers) {
      const page = await api.pageNow().catch(() => null);
      if (page && firstPage && page !== firstPage) {
        showBanner(t('server.replaced'), button(t('server.reload'), { press: () => location.reload() }));
      }
      firstPage ??= page;
    }
    await new Promise((resolve) => setTimeout(resolve, answers ? PING_MILLISECONDS : LOST_PING_MILLISECONDS));
  }
}

api.events.addEventListener('lost', () => showBanner(t('server.lost')));
api.events.addEventListener('back', () => {
  banner.hidden = true;
});
api.events.addEventListener('out', (event) => {
  draw();
  if (event.detail) {
    main.querySelector('.signin').prepend(notice('bad', event.detail.text));
  }
});
window.addEventListener('hashchange', () => {
  ticket = takeTicket();
  if (ticket) {
    enterByTicket();
  } else if (api.signedIn()) {
    drawPart();
  }
});

async function enterByTicket() {
  try {
    await enter(await api.redeem(ticket));
  } catch (error) {
    draw();
    const text = error.code === 'ticket' ? t('signin.ticket') : error.text;
    main.querySelector('.signin')?.prepend(notice('bad', text));
  }
}

async function begin() {
  try {
    await texts.load();
  } catch {
    document.body.replaceChildren('The server does not answer. Reload the page. – Der Server antwortet nicht. Laden Sie die Seite neu.');
    return;
  }
  if (ticket) {
    await enterByTicket();
  } else {
    draw();
  }
  lookAfterServer();
}

begin();
