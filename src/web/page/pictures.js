// Pictures on their way from a person to the server.

import { element, icon } from './elements.js';
import { has, t } from './texts.js';

// Larger files are refused by the server anyway.
const BYTES_MAX = 20 * 1024 * 1024;
const JPEG_QUALITY = 0.92;
// Room around a face in its small picture, as a part of the larger side of its box.
const MARGIN = 0.35;

// What is wrong with a file before it is sent, or nothing.
export function fault(file) {
  if (/\.(heic|heif|avif)$/i.test(file.name ?? '') || /hei[cf]|avif/.test(file.type)) {
    return t('picture.heic', { name: file.name ?? '' });
  }
  if (file.type && !file.type.startsWith('image/')) {
    return t('picture.other', { name: file.name ?? '' });
  }
  if (file.size > BYTES_MAX) {
    return t('picture.large', { name: file.name ?? '' });
  }
  return file.size === 0 ? t('picture.empty', { name: file.name ?? '' }) : null;
}

// What is on the canvas, as a JPEG.
export function jpeg(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no picture'))), 'image/jpeg', JPEG_QUALITY);
  });
}

// The picture that a camera shows now.
export function frame(video) {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas;
}

// An image that shows a blob until it is thrown away.
export function shown(blob, alternative) {
  const image = document.createElement('img');
  const url = URL.createObjectURL(blob);
  image.alt = alternative;
  image.src = url;
  image.addEventListener('load', () => URL.revokeObjectURL(url), { once: true });
  image.addEventListener('error', () => URL.revokeObjectURL(url), { once: true });
  return image;
}

// A small square picture of what is in a box. `size` is that of the whole picture as boxes count it.
export function cut(source, size, box, pixels = 96) {
  const canvas = document.createElement('canvas');
  canvas.width = pixels;
  canvas.height = pixels;
  canvas.className = 'cut';
  const width = source.naturalWidth ?? source.videoWidth ?? source.width;
  const scale = width / size.width;
  const side = Math.max(box.width, box.height) * (1 + MARGIN);
  const left = (box.left + box.width / 2 - side / 2) * scale;
  const top = (box.top + box.height / 2 - side / 2) * scale;
  const context = canvas.getContext('2d');
  context.drawImage(source, left, top, side * scale, side * scale, 0, 0, pixels, pixels);
  return canvas;
}

// The pictures that are pasted, or dropped.
export function filesOf(transfer) {
  const items = [...(transfer?.items ?? [])].filter((item) => item.kind === 'file');
  const files = items.map((item) => item.getAsFile()).filter((file) => file);
  return files.length ? files : [...(transfer?.files ?? [])];
}

// What could be better about a picture, in words.
export function warnings(list = []) {
  return list.map((warning) => {
    const known = `warning.${warning}`;
    return element('p', { class: 'warning' }, icon('warn'), element('span', {}, has(known) ? t(known) : warning));
  });
}

// Puts the label of each box where it covers no other: above or below, to either side; where there is
// no room, its number alone. `room` is where labels are seen.
export function placeLabels(boxes, room) {
  const placed = [];
  for (const box of boxes) {
    const first = ['below', 'at-right'].map((name) => box.classList.contains(name));
    const places = [first, [!first[0], first[1]], [first[0], !first[1]], [!first[0], !first[1]]];
    const tries = [false, true].flatMap((isShort) => places.map((place) => [isShort, ...place]));
    let label = null;
    for (const [isShort, isBelow, isAtRight] of tries) {
      box.classList.toggle('short', isShort);
      box.classList.toggle('below', isBelow);
      box.classList.toggle('at-right', isAtRight);
      label = box.firstChild.getBoundingClientRect();
      if (isWithin(label, room) && !placed.some((other) => overlap(label, other))) {
        break;
      }
    }
    placed.push(label);
  }
}

function isWithin(one, room) {
  return one.left >= room.left - 4 && one.right <= room.right + 4 && one.top >= room.top - 4 && one.bottom <= room.bottom + 4;
}

function overlap(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}
