// Adds people and pictures of people. Pictures are looked at before they are enrolled.

import * as api from './api.js';
import { Camera } from './camera.js';
import { button, dialog, element, field, icon, notice, toast } from './elements.js';
import { fault, filesOf, jpeg, shown, warnings } from './pictures.js';
import { number, t, tally } from './texts.js';

const PICTURES_MAX = 20;

// Enrols pictures with the face in each that is meant. `number_` is null for somebody new, who gets
// `record`. Those with one face go together, so that all of them are taken or none.
export async function enroll(context, number_, record, pictures) {
  const alone = pictures.filter((picture) => !picture.box);
  const boxed = pictures.filter((picture) => picture.box);
  const groups = [...(alone.length ? [alone] : []), ...boxed.map((picture) => [picture])];
  let done = { class: number_, added: 0, known: 0, same_name: [], similarity_to_class: null, looks_like_class: null, duplicate: null };
  for (const group of groups) {
    const form = new FormData();
    if (done.class === null) {
      for (const [name, value] of Object.entries(record)) {
        if (value) {
          form.append(name, value);
        }
      }
    }
    if (group[0].box) {
      const { left, top, width, height } = group[0].box;
      form.append('box', [left, top, width, height].join(','));
    }
    group.forEach((picture) => form.append('picture', picture.blob, 'picture'));
    const path = done.class === null ? api.within(context.partition, 'enroll') : api.within(context.partition, 'classes', done.class, 'enroll');
    const answer = await api.call('POST', path, { form });
    done = { ...answer, added: done.added + answer.added, known: done.known + answer.known, same_name: [...done.same_name, ...(answer.same_name ?? [])], duplicate: done.duplicate ?? answer.duplicate ?? null,
      ...(number_ === null || done.looks_like_class !== null ? likenessOf(done) : likenessOf(answer)) };
  }
  return done;
}

// How alike the pictures that were sent first are to those from before.
function likenessOf({ similarity_to_class, looks_like_class }) {
  return { similarity_to_class, looks_like_class };
}

// Asks for somebody new. Gives whether somebody was enrolled, or the class of somebody who is to be
// looked at.
export function addPerson(context) {
  return dialog(t('add.title'), (body, close, made) => {
    const name = element('input', { type: 'text', autocomplete: 'off' });
    const external = element('input', { type: 'text', autocomplete: 'off', spellcheck: 'false' });
    const note = element('textarea', { rows: '2' });
    const more = element('details', { class: 'more' }, element('summary', {}, t('person.more')), field(t('person.external'), external, t('person.external.hint')), field(t('person.note'), note));
    fill(body, close, made, context, {
      fields: [field(t('person.name'), name, t('name.hint')), more],
      send: (pictures) => enroll(context, null, { name: name.value.trim(), external_id: external.value.trim(), note: note.value.trim() }, pictures),
      said: (done) => t('name.done', { name: name.value.trim() || t('people.unnamed', { class: done.class }) }),
      mayLook: api.may('read'),
    });
    setTimeout(() => name.focus());
  }, { wide: true });
}

// Asks for more pictures of somebody. Gives whether some were enrolled.
export function addPictures(context, record) {
  const title = t('add.more', { name: record.name || t('people.unnamed', { class: record.class }) });
  return dialog(title, (body, close, made) => {
    fill(body, close, made, context, {
      fields: [],
      send: (pictures) => enroll(context, record.class, {}, pictures),
      said: (done) => tally('add.added', done.added),
      mayLook: false,
    });
  }, { wide: true });
}

function fill(body, close, made, context, { fields, send, said, mayLook }) {
  const answer = element('div', { class: 'answer' });
  const go = element('button', { type: 'submit', class: 'button primary', disabled: true }, icon('add'), element('span', {}, t('add.go')));
  const tray = new Tray(() => {
    go.disabled = tray.usable().length === 0;
  });
  made.addEventListener('gone', () => tray.close());
  const form = element('form', { on: { submit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    answer.replaceChildren();
    try {
      const done = await send(tray.usable());
      tray.stopCamera();
      toast(said(done));
      const doubts = doubtsOf(done);
      if (doubts.length) {
        finish(body, close, done, doubts, mayLook);
      } else {
        close(true);
      }
    } catch (error) {
      answer.replaceChildren(notice('bad', error.text ?? t('problem.internal'), error.message));
      go.disabled = false;
    }
  } } }, ...fields, tray.root, answer, element('div', { class: 'actions' }, go));
  body.append(form);
}

// What whoever enrols should look at, since the server takes it all the same.
function doubtsOf(done) {
  const doubts = [];
  if (done.same_name.length) {
    doubts.push(t('add.same', { classes: done.same_name.join(', ') }));
  }
  if (done.duplicate) {
    doubts.push(done.duplicate.class === null ? t('add.twice.untold') : t('add.twice', { class: done.duplicate.class }));
  }
  if (done.looks_like_class === false) {
    const similarity = done.similarity_to_class;
    doubts.push(similarity === null ? t('add.strange.untold') : t('add.strange', { similarity: number(similarity, 2) }));
  }
  return doubts;
}

function finish(body, close, done, doubts, mayLook) {
  const look = mayLook ? button(t('add.look'), { press: () => close(done.class) }) : null;
  body.replaceChildren(...doubts.map((doubt) => notice('bad', doubt)), element('div', { class: 'actions' }, look ?? '', button(t('receipt.close'), { kind: 'primary', press: () => close(true) })));
  body.querySelector('.actions .primary').focus();
}

// Pictures that were chosen, dropped, pasted or taken, with what was seen in them.
class Tray {
  constructor(changed) {
    this.changed = changed;
    this.pictures = [];
    this.camera = null;
    this.work = new AbortController();
    this.input = element('input', { type: 'file', accept: 'image/*', multiple: true, class: 'away', tabindex: '-1', 'aria-hidden': 'true', on: { change: () => {
      this.take([...this.input.files]);
      this.input.value = '';
    } } });
    this.live = element('div', { class: 'live' });
    this.said = element('div', { class: 'answer', 'aria-live': 'polite' });
    this.list = element('ul', { class: 'tray' });
    this.bar = element('div', { class: 'buttons' });
    this.root = element('fieldset', { class: 'pictures' }, element('legend', {}, t('add.pictures')), element('p', { class: 'hint' }, t('add.hint')), this.live, this.bar, this.said, this.list, this.input);
    this.drawBar();
    this.listen();
  }

  listen() {
    const how = { signal: this.work.signal };
    document.addEventListener('paste', (event) => this.take(filesOf(event.clipboardData)), how);
    this.root.addEventListener('drop', (event) => {
      event.preventDefault();
      this.take(filesOf(event.dataTransfer));
    }, how);
  }

  // Those that can be enrolled, with the box of the face that is meant if there are several.
  usable() {
    return this.pictures.filter((picture) => picture.isUsable).map(({ blob, faces, chosen }) => ({ blob, box: faces.length > 1 ? faces[chosen].box : null }));
  }

  close() {
    this.work.abort();
    this.stopCamera();
  }

  stopCamera() {
    this.camera?.close();
    this.camera = null;
    this.live.replaceChildren();
  }

  drawBar() {
    const choose = button(t('add.files'), { icon: 'file', press: () => this.input.click() });
    if (this.camera) {
      this.bar.replaceChildren(button(t('add.shoot'), { icon: 'camera', kind: 'primary', press: () => this.shoot() }), choose, button(t('identify.stop'), { icon: 'close', kind: 'quiet', press: () => {
        this.stopCamera();
        this.drawBar();
      } }));
    } else {
      this.bar.replaceChildren(button(t('identify.camera'), { icon: 'camera', press: () => this.start() }), choose);
    }
  }

  async start() {
    this.said.replaceChildren();
    try {
      const camera = await Camera.open((gone) => {
        this.stopCamera();
        this.drawBar();
        this.said.replaceChildren(notice('bad', gone.text));
      });
      if (this.work.signal.aborted) {
        camera.close();
        return;
      }
      this.camera = camera;
      this.live.replaceChildren(element('div', { class: 'sheet' }, camera.video));
    } catch (error) {
      this.said.replaceChildren(notice('bad', error.text ?? t('camera.failed')));
    }
    this.drawBar();
  }

  async shoot() {
    try {
      await this.look(await jpeg(this.camera.frame()));
    } catch (error) {
      this.said.replaceChildren(notice('bad', error.text ?? t('camera.failed')));
    }
  }

  async take(files) {
    this.said.replaceChildren();
    for (const file of files) {
      const wrong = this.pictures.length >= PICTURES_MAX ? t('add.many', { max: number(PICTURES_MAX) }) : fault(file);
      if (wrong) {
        this.said.append(notice('bad', wrong));
      } else {
        await this.look(file);
      }
    }
  }

  // Asks what there is to be seen in a picture, and shows it.
  async look(blob) {
    const picture = { blob, faces: [], chosen: 0, isUsable: false, tile: element('li', {}, element('p', { class: 'quiet-text' }, t('identify.asking'))) };
    this.pictures.push(picture);
    this.list.append(picture.tile);
    if (!api.may('identify')) {
      // Looking is not for this key; what is wrong is told when it enrols.
      Object.assign(picture, { isUsable: true, isUnseen: true });
      this.drawTile(picture);
      this.changed();
      return;
    }
    try {
      const form = new FormData();
      form.append('picture', blob, 'picture');
      const found = await api.call('POST', 'detect', { form, signal: this.work.signal });
      Object.assign(picture, { faces: found.faces, size: found, isUsable: found.faces.length > 0 });
      // The largest is most likely meant.
      const sizes = found.faces.map(({ box }) => box.width * box.height);
      picture.chosen = Math.max(0, sizes.indexOf(Math.max(...sizes)));
    } catch (error) {
      picture.wrong = error.text ?? t('problem.internal');
    }
    this.drawTile(picture);
    this.changed();
  }

  drawTile(picture) {
    const { faces, chosen, size } = picture;
    const sheet = element('div', { class: 'sheet' }, shown(picture.blob, t('add.picture')));
    if (faces.length > 1) {
      sheet.append(element('div', { class: 'boxes' }, ...faces.map((face, at) => this.choice(picture, face, at, size))));
    }
    const remove = element('button', { type: 'button', class: 'button quiet square small', 'aria-label': t('add.remove'), on: { click: () => {
      this.pictures = this.pictures.filter((other) => other !== picture);
      picture.tile.remove();
      this.changed();
    } } }, icon('close'));
    const words = [];
    if (picture.wrong) {
      words.push(element('p', { class: 'warning' }, icon('warn'), element('span', {}, picture.wrong)));
    } else if (picture.isUnseen) {
      words.push(element('p', { class: 'quality' }, t('add.picture')));
    } else if (!faces.length) {
      words.push(element('p', { class: 'warning' }, icon('warn'), element('span', {}, t('add.noface'))));
    } else {
      const { quality, warnings: found } = faces[chosen];
      words.push(element('p', { class: 'quality' }, quality === null || quality === undefined ? t('add.good') : t('person.quality.of', { quality: number(quality, 2) })), ...warnings(found));
    }
    if (faces.length > 1) {
      words.push(element('p', { class: 'quiet-text' }, t('add.which')));
    }
    picture.tile.replaceChildren(sheet, element('div', { class: 'words' }, ...words), remove);
    picture.tile.classList.toggle('bad', !picture.isUsable);
  }

  choice(picture, face, at, size) {
    const made = element('button', { type: 'button', class: `box ${at === picture.chosen ? 'known' : 'unknown'}`, 'aria-label': t('add.face', { number: number(at + 1) }), 'aria-pressed': String(at === picture.chosen), on: { click: () => {
      picture.chosen = at;
      this.drawTile(picture);
      this.changed();
    } } });
    made.style.left = `${(face.box.left / size.width) * 100}%`;
    made.style.top = `${(face.box.top / size.height) * 100}%`;
    made.style.width = `${(face.box.width / size.width) * 100}%`;
    made.style.height = `${(face.box.height / size.height) * 100}%`;
    return made;
  }
}
