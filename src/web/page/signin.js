// Asks for an API key.

import { button, element, field, icon, notice } from './elements.js';
import { t } from './texts.js';

const COMMAND = 'vultus key create --name me --everything --scopes enroll,identify,verify,read,delete';

// Shows the form in `place`. `enter` tries a key, and fails with why it is not taken.
export function showSignIn(place, enter) {
  // No password to a browser, which would offer to keep it.
  const input = element('input', { type: 'text', class: 'secret', required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', placeholder: 'vk_…' });
  const answer = element('div', { class: 'answer' });
  const go = element('button', { type: 'submit', class: 'button primary' }, element('span', {}, t('signin.go')));
  const form = element('form', { on: { submit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    answer.replaceChildren();
    try {
      await enter(input.value.trim());
    } catch (error) {
      answer.replaceChildren(notice('bad', error.text ?? String(error)));
      input.setAttribute('aria-invalid', 'true');
      input.focus();
    }
    go.disabled = false;
  } } }, field(t('signin.key'), input, t('signin.kept')), answer, go);
  const copy = button(t('signin.copy'), { kind: 'quiet small', press: async () => {
    await navigator.clipboard?.writeText(COMMAND);
  } });
  const help = element('details', {}, element('summary', {}, t('signin.none')),
    element('p', {}, t('signin.make')), element('pre', { tabindex: '0' }, element('code', {}, COMMAND)), copy);
  const card = element('section', { class: 'card signin', 'aria-labelledby': 'signin-title' },
    element('div', { class: 'signin-mark', 'aria-hidden': 'true' }, icon('face')),
    element('h1', { id: 'signin-title' }, t('signin.title')), element('p', { class: 'lead' }, t('signin.lead')), form, help);
  place.className = 'signin-part';
  place.replaceChildren(card);
  input.focus();
}
