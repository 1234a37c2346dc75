// What people look like, where the service stores that and the key may see it; initials elsewhere.

import * as api from './api.js';
import { avatar, element } from './elements.js';

const AT_ONCE = 4;

const waiting = [];
let working = 0;

// The initials of a person, in whose place the portrait comes once it is seen and there is one.
export function portrait(context, record) {
  const place = avatar(record.name, record.class);
  if (api.may('portraits') && api.signedIn().portraits) {
    const seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        seen.disconnect();
        waiting.push(() => fill(place, api.within(context.partition, 'classes', record.class, 'portrait')));
        next();
      }
    });
    seen.observe(place);
  }
  return place;
}

async function next() {
  if (working < AT_ONCE && waiting.length) {
    working += 1;
    try {
      await waiting.shift()();
    } finally {
      working -= 1;
      next();
    }
  }
}

async function fill(place, path) {
  if (!place.isConnected) {
    return;
  }
  let url;
  try {
    url = URL.createObjectURL(await api.call('GET', path, { blob: true }));
    // The name stands beside it.
    const picture = element('img', { src: url, alt: '' });
    await picture.decode();
    place.replaceChildren(picture);
  } catch {
    // There is none, or it cannot be had now: the initials stay.
  } finally {
    // A picture that is decoded needs its address no more, and nothing else is to keep it.
    URL.revokeObjectURL(url);
  }
}
