// Who is in this picture?

import * as api from './api.js';
import { Camera } from './camera.js';
import { avatar, button, element, icon, likeness, notice, tick } from './elements.js';
import { nameFace } from './naming.js';
import { openPerson } from './person.js';
import { cut, fault, filesOf, jpeg, placeLabels, shown, warnings } from './pictures.js';
import { titleOf } from './search.js';
import { number, t, tally } from './texts.js';

// Between two looks while the camera is watched; the server's own pace comes on top.
const LOOK_PAUSE_MILLISECONDS = 400;
// How far above the threshold a face is clearly the person.
const CLEAR = 0.12;

export function show(place, context) {
  const part = new Identify(context);
  part.build(place);
  return () => part.close();
}

class Identify {
  constructor(context) {
    this.context = context;
    this.camera = null;
    this.isWatching = false;
    this.wantsLive = false;
    this.work = new AbortController();
  }

  build(place) {
    this.input = element('input', { type: 'file', accept: 'image/*', class: 'away', id: 'identify-file', tabindex: '-1', 'aria-hidden': 'true', on: { change: () => this.take(this.input.files[0]) } });
    this.stage = element('div', { class: 'stage' });
    this.controls = element('div', { class: 'controls' });
    this.results = element('div', { class: 'results', 'aria-live': 'polite' });
    place.append(element('h1', {}, t('identify.title')), element('p', { class: 'lead' }, t('identify.lead')),
      element('div', { class: 'two' },
        element('section', { class: 'card view', 'aria-label': t('identify.picture') }, this.stage, this.controls, this.input),
        element('section', { class: 'card answers', 'aria-label': t('identify.results') }, element('h2', {}, t('identify.results')), this.results)));
    this.listen();
    this.empty();
  }

  listen() {
    const how = { signal: this.work.signal };
    const isOurs = () => !document.querySelector('dialog[open]');
    document.addEventListener('paste', (event) => isOurs() && this.takeFrom(event.clipboardData), how);
    document.addEventListener('dragover', (event) => {
      event.preventDefault();
      this.stage.classList.add('over');
    }, how);
    document.addEventListener('dragleave', (event) => event.relatedTarget ?? this.stage.classList.remove('over'), how);
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      this.stage.classList.remove('over');
      if (isOurs()) {
        this.takeFrom(event.dataTransfer);
      }
    }, how);
  }

  takeFrom(transfer) {
    const [file] = filesOf(transfer);
    if (file) {
      this.take(file);
    }
  }

  close() {
    this.work.abort();
    this.stopCamera();
  }

  empty() {
    this.stage.replaceChildren(element('div', { class: 'invitation' }, icon('face'), element('p', {}, t('identify.drop'))));
    this.drawControls();
    this.results.replaceChildren(element('p', { class: 'quiet-text' }, t('identify.nothing')));
  }

  drawControls() {
    const choose = button(t('identify.file'), { icon: 'file', press: () => this.input.click() });
    if (!this.camera) {
      const start = button(t('identify.camera'), { icon: 'camera', kind: 'primary', press: () => this.startCamera() });
      this.controls.replaceChildren(element('div', { class: 'buttons' }, start, choose), this.liveTick());
      return;
    }
    const now = button(this.wantsLive ? t('identify.live') : t('identify.now'), { icon: this.wantsLive ? 'live' : 'face', kind: 'primary', press: () => this.shoot() });
    const stop = button(t('identify.stop'), { icon: 'close', press: () => {
      this.stopCamera();
      this.empty();
    } });
    const keep = tick(t('identify.keep'), this.isWatching, (is) => this.watch(is));
    this.controls.replaceChildren(element('div', { class: 'buttons' }, now, choose, stop), this.wantsLive ? '' : keep, this.liveTick());
  }

  liveTick() {
    return tick(t('identify.demand'), this.wantsLive, (is) => {
      this.wantsLive = is;
      this.isWatching = false;
      if (this.camera) {
        this.boxes.replaceChildren();
        this.results.replaceChildren(element('p', { class: 'quiet-text' }, t('identify.ready')));
      }
      this.drawControls();
    });
  }

  async startCamera() {
    this.results.replaceChildren();
    try {
      const camera = await Camera.open((gone) => this.cameraGone(gone));
      if (this.work.signal.aborted) {
        camera.close();
        return;
      }
      this.camera = camera;
    } catch (error) {
      this.empty();
      this.say(error);
      return;
    }
    this.showCamera();
  }

  showCamera() {
    this.boxes = element('div', { class: 'boxes' });
    const sheet = element('div', { class: 'sheet' }, this.camera.video, this.boxes);
    this.stage.replaceChildren(sheet);
    this.drawControls();
    this.results.replaceChildren(element('p', { class: 'quiet-text' }, t('identify.ready')));
    this.controls.querySelector('.primary').focus();
  }

  cameraGone(why) {
    this.camera = null;
    this.isWatching = false;
    this.empty();
    this.say(why);
  }

  stopCamera() {
    this.isWatching = false;
    this.camera?.close();
    this.camera = null;
  }

  // What went wrong, in the place of an answer.
  say(error) {
    if (error.name === 'AbortError') {
      return;
    }
    const detail = error instanceof api.Failure && error.message !== error.text ? error.message : null;
    this.results.replaceChildren(notice('bad', error.text ?? t('problem.internal'), detail));
  }

  async take(file) {
    if (!file) {
      return;
    }
    this.input.value = '';
    const wrong = fault(file);
    if (wrong) {
      this.results.replaceChildren(notice('bad', wrong));
      return;
    }
    this.stopCamera();
    await this.answer(file);
  }

  async shoot() {
    if (this.wantsLive) {
      await this.shootLive();
      return;
    }
    try {
      const blob = await jpeg(this.camera.frame());
      this.stopCamera();
      await this.answer(blob);
    } catch (error) {
      this.say(error);
    }
  }

  // Two pictures of one head that moves between them.
  async shootLive() {
    const { camera } = this;
    const hint = element('p', { class: 'turn', role: 'status' }, icon('live'), element('span', {}, t('identify.turn')));
    this.stage.firstChild.append(hint);
    try {
      const first = await jpeg(camera.frame());
      await camera.moved(this.work.signal);
      const second = await jpeg(camera.frame());
      hint.querySelector('span').textContent = t('identify.asking');
      const form = new FormData();
      form.append('liveness', 'active');
      form.append('picture', first, 'first.jpg');
      form.append('picture', second, 'second.jpg');
      const found = await api.call('POST', api.within(this.context.partition, 'identify'), { form, signal: this.work.signal });
      this.showLive(found);
    } catch (error) {
      if (error.code === 'partition_not_found') {
        this.results.replaceChildren(notice('info', t('identify.nobody')));
      } else {
        this.say(error);
      }
    } finally {
      hint.remove();
    }
  }

  showLive(found) {
    const decision = found.decision === 'match' ? 'known' : found.decision;
    const face = { decision, confidence: found.confidence, matches: found.matches, warnings: [], quality: null, box: null };
    this.results.replaceChildren(notice('good', t('identify.alive')), this.searched(found), this.row(face, found, null));
  }

  // Asks again and again while the camera is watched.
  async watch(is) {
    this.isWatching = is;
    const { camera } = this;
    while (this.isWatching && this.camera === camera) {
      try {
        const canvas = camera.frame();
        const blob = await jpeg(canvas);
        const found = await this.ask(blob);
        if (!this.isWatching || this.camera !== camera) {
          return;
        }
        this.drawBoxes(found, camera.isMirrored);
        this.drawResults(found, canvas, blob);
      } catch (error) {
        this.isWatching = error.code === 'busy' || error.code === 'share_exceeded';
        if (!this.isWatching) {
          this.say(error);
          if (this.camera) {
            this.drawControls();
          }
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSE_MILLISECONDS));
    }
    if (this.camera === camera) {
      this.boxes.replaceChildren();
    }
  }

  // Shows a picture and who is in it.
  async answer(blob) {
    const image = shown(blob, t('identify.yours'));
    this.boxes = element('div', { class: 'boxes' });
    this.stage.replaceChildren(element('div', { class: 'sheet busy' }, image, this.boxes));
    this.drawControls();
    this.results.replaceChildren(element('p', { class: 'quiet-text', role: 'status' }, t('identify.asking')));
    try {
      const found = await this.ask(blob);
      this.drawBoxes(found, false);
      await image.decode().catch(() => {});
      this.drawResults(found, image, blob);
    } catch (error) {
      this.say(error);
    }
    this.stage.firstChild.classList.remove('busy');
  }

  async ask(blob) {
    const how = () => {
      const form = new FormData();
      form.append('picture', blob, 'picture');
      return { form, signal: this.work.signal };
    };
    try {
      return await api.call('POST', api.within(this.context.partition, 'identify-faces'), how());
    } catch (error) {
      if (error.code !== 'partition_not_found') {
        throw error;
      }
    }
    // Nobody is enrolled yet. The first one can be, by a face in this picture.
    const found = await api.call('POST', 'detect', how());
    const faces = found.faces.map((face) => ({ ...face, decision: 'unknown', matches: [] }));
    return { ...found, faces, templates_searched: 0, threshold: null };
  }

  drawBoxes(found, isMirrored) {
    const boxes = found.faces.map((face, at) => {
      const { box } = face;
      const left = isMirrored ? found.width - box.left - box.width : box.left;
      const label = element('span', { class: 'label' }, found.faces.length > 1 ? element('b', {}, number(at + 1)) : null, element('span', {}, this.wordFor(face)));
      const made = element('div', { class: `box ${face.decision}` }, label);
      made.style.left = `${(left / found.width) * 100}%`;
      made.style.top = `${(box.top / found.height) * 100}%`;
      made.style.width = `${(box.width / found.width) * 100}%`;
      made.style.height = `${(box.height / found.height) * 100}%`;
      made.classList.toggle('below', box.top / found.height < 0.1);
      made.classList.toggle('at-right', left + box.width / 2 > found.width * 0.6);
      return made;
    });
    // The names stand in the results, where they are read aloud.
    this.boxes.setAttribute('aria-hidden', 'true');
    this.boxes.replaceChildren(...boxes);
    this.putLabels = () => placeLabels(boxes, this.boxes.parentElement.getBoundingClientRect());
    this.putLabels();
  }

  wordFor(face) {
    if (face.decision === 'known') {
      return titleOf(face.matches[0]);
    }
    if (face.decision === 'ambiguous') {
      const [one, other] = face.matches;
      return other ? t('identify.ambiguous', { one: titleOf(one), other: titleOf(other) }) : titleOf(one);
    }
    if (face.decision === 'pending') {
      return t('identify.pending');
    }
    return face.decision === 'unusable' ? t('identify.unusable') : t('identify.unknown');
  }

  drawResults(found, source, blob) {
    if (!found.faces.length) {
      this.results.replaceChildren(notice('info', t('identify.noface')));
      return;
    }
    const rows = found.faces.map((face, at) => this.row(face, found, { source, blob, at }));
    const nobody = found.templates_searched === 0 ? notice('info', t('identify.nobody')) : this.searched(found);
    const left = found.faces_left_out ? [element('p', { class: 'quiet-text' }, tally('identify.left', found.faces_left_out))] : [];
    this.results.replaceChildren(nobody, ...rows, ...left);
  }

  searched(found) {
    return element('p', { class: 'quiet-text' }, tally('identify.searched', found.templates_searched));
  }

  row(face, found, picture) {
    const [best, ...others] = face.matches;
    const small = picture ? cut(picture.source, found, face.box) : best ? avatar(best.name, best.class) : avatar('', 0);
    const words = element('div', { class: 'words' });
    const many = picture && found.faces.length > 1 ? `${number(picture.at + 1)}. ` : '';
    words.append(element('h3', {}, many, this.wordFor(face)));
    if (face.decision === 'known' || face.decision === 'ambiguous') {
      words.append(...this.wordsOfMatch(best, found.threshold, face));
      words.append(...others.map((other) => element('p', { class: 'quiet-text' }, t('identify.also', { name: titleOf(other), similarity: number(other.similarity, 2) }))));
    } else {
      words.append(element('p', { class: 'quiet-text' }, whyNobody(face.decision)));
      if (face.decision_id) {
        // By which whoever confirms finds it.
        words.append(element('p', { class: 'quiet-text' }, element('code', {}, face.decision_id)));
      }
    }
    words.append(...warnings(face.warnings));
    const row = element('article', { class: `result ${face.decision}` }, small, words);
    const actions = this.actions(face, best, picture);
    if (actions.length) {
      words.append(element('div', { class: 'buttons' }, ...actions));
    }
    return row;
  }

  wordsOfMatch(match, threshold, face) {
    const isAlone = face.decision !== 'ambiguous';
    const isClear = isAlone && (threshold === null || match.similarity - threshold >= CLEAR);
    const verdict = isClear ? t('identify.clear') : isAlone ? t('identify.close') : t('identify.ambiguous.why');
    const sure = typeof face.confidence === 'number' ? [element('p', { class: 'quiet-text' }, t('identify.confidence', { percent: number(Math.floor(face.confidence * 1000) / 10, 1) }))] : [];
    const gaps = { similarity: number(match.similarity, 2), threshold: threshold === null ? '' : number(threshold, 2) };
    const text = threshold === null ? t('identify.alike', gaps) : t('identify.alike.needed', gaps);
    return [
      element('p', { class: isClear ? 'sure' : 'unsure' }, icon(isClear ? 'check' : 'warn'), element('span', {}, verdict)),
      likeness(match.similarity, threshold), element('p', { class: 'quiet-text' }, text), ...sure];
  }

  actions(face, best, picture) {
    const actions = [];
    if (best && api.may('read')) {
      actions.push(button(t('identify.person'), { kind: 'small', press: () => openPerson(this.context, best.class) }));
    }
    if (picture && !['unusable', 'pending'].includes(face.decision) && api.may('enroll')) {
      const label = best ? t('identify.wrong') : t('identify.name');
      const kind = best ? 'small quiet' : 'small primary';
      actions.push(button(label, { kind, press: async () => {
        const wasWatching = this.isWatching;
        this.isWatching = false;
        const named = await nameFace(this.context, picture.blob, face, cut(picture.source, { width: picture.source.naturalWidth ?? picture.source.width }, face.box));
        if (named && !this.camera) {
          await this.answer(picture.blob);
        } else if (wasWatching && this.camera) {
          this.watch(true);
        }
      } }));
    }
    return actions;
  }
}

// Why a face has no name.
function whyNobody(decision) {
  if (decision === 'pending') {
    return t('identify.pending.why');
  }
  return decision === 'unknown' ? t('identify.unknown.why') : t('identify.unusable.why');
}
