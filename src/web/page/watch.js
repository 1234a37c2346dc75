// How the service is: what it has done, what waits, and whether it is well.

import * as api from './api.js';
import { Chart } from './charts.js';
import { element, icon, notice } from './elements.js';
import { bytes, lasting, number, t, tally, time } from './texts.js';

const INTERVAL_MILLISECONDS = 2_000;
// What is said of the key and the encoder changes seldom.
const LOOKS_PER_STATUS = 5;
// Questions about the service itself are no work for anybody.
const OWN_ROUTES = new Set(['/', '/livez', '/readyz', '/page/{file}', '/v1/metrics', '/v1/status']);
const LANES = ['faces', 'searches', 'writes', 'small'];

export function show(place, context) {
  const part = new Watch(context);
  part.build(place);
  return () => part.close();
}

class Watch {
  constructor(context) {
    this.context = context;
    this.isOpen = true;
    this.before = null;
    this.looks = 0;
  }

  get seesMetrics() {
    return api.reachesEverything() && api.may('read');
  }

  build(place) {
    this.health = element('div', { class: 'health', 'aria-live': 'polite' });
    place.append(element('h1', {}, t('watch.title')), this.health);
    if (this.seesMetrics) {
      this.tiles = element('dl', { class: 'tiles' });
      this.charts = charts();
      place.append(this.tiles, element('div', { class: 'charts' }, ...Object.values(this.charts).map((chart) => chart.root)));
    } else {
      place.append(notice('info', t('watch.less')));
    }
    this.service = element('div', { class: 'service' });
    place.append(this.service);
    this.run();
  }

  close() {
    this.isOpen = false;
  }

  async run() {
    while (this.isOpen) {
      if (!document.hidden) {
        await this.look();
      }
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MILLISECONDS));
    }
  }

  async look() {
    try {
      const isDue = this.looks % LOOKS_PER_STATUS === 0;
      this.looks += 1;
      const asked = [isDue ? api.renewStatus() : api.signedIn(), api.readiness(), this.seesMetrics ? api.call('GET', 'metrics', { text: true }) : null];
      const [status, ready, text] = await Promise.all(asked);
      if (!this.isOpen || !status) {
        return;
      }
      this.drawHealth(status, ready);
      this.drawService(status);
      if (text !== null) {
        this.drawMetrics(new Metrics(text));
      }
    } catch (error) {
      if (this.isOpen && api.signedIn()) {
        this.said(notice('bad', error.text ?? t('problem.internal')));
      }
    }
  }

  // Changes what is said only if it is something else: screen readers read all of it again.
  said(...parts) {
    const text = parts.map((part) => part.textContent).join('\n');
    if (text !== this.lastSaid) {
      this.lastSaid = text;
      this.health.replaceChildren(...parts);
    }
  }

  drawHealth(status, ready) {
    const parts = [];
    const isWell = status.storage.good && ready.status === 'ready';
    if (isWell) {
      parts.push(notice('good', t('watch.well')));
    }
    for (const reason of ready.reasons ?? []) {
      parts.push(notice('bad', t('watch.notready'), reason.detail ?? reason.code));
    }
    if (status.storage.stopped) {
      parts.push(notice('bad', t('watch.stopped'), status.storage.stopped));
    }
    parts.push(...status.storage.damaged.map((one) => notice('bad', t('watch.damaged', { gallery: one.partition }), one.damage)));
    if (!status.storage.good && !parts.length) {
      parts.push(notice('bad', t('watch.unwell')));
    }
    this.said(...parts);
  }

  drawService({ version, encoder, dimension, threshold, key }) {
    const until = key.expires_unix_milliseconds === null ? t('watch.noend') : time(key.expires_unix_milliseconds);
    const rows = [[t('watch.version'), version], [t('watch.encoder'), `${encoder}, ${tally('watch.values', dimension)}`], [t('watch.threshold'), number(threshold, 2)],
      [t('watch.key'), `${key.name} (${key.id})`], [t('watch.scopes'), key.scopes.join(', ')], [t('watch.reach'), key.reach === 'everything' ? t('watch.everything') : key.reach], [t('watch.until'), until]];
    const list = element('dl', { class: 'facts' }, ...rows.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))));
    this.service.replaceChildren(element('section', { class: 'card' }, element('h2', {}, t('watch.service')), list));
  }

  drawMetrics(now) {
    const people = now.one('vultus_rows') - now.one('vultus_rows_removed');
    const tiles = [
      [t('watch.galleries'), number(now.one('vultus_galleries')), now.one('vultus_galleries_damaged') > 0],
      [t('watch.templates'), number(people), false],
      [t('watch.storage'), now.one('vultus_storage_writable') ? t('watch.writable') : t('watch.readonly'), !now.one('vultus_storage_writable')],
      [t('watch.memory'), bytes(now.one('process_resident_memory_bytes')), false],
      [t('watch.connections'), number(now.one('vultus_connections_open')), false],
      [t('watch.since'), lasting(Date.now() / 1000 - now.one('process_start_time_seconds')), false],
    ];
    this.tiles.replaceChildren(...tiles.map(([name, value, isBad]) => element('div', { class: isBad ? 'bad' : '' }, element('dt', {}, isBad ? icon('warn') : null, name), element('dd', {}, value))));
    // After a restart counters begin anew. The moment of the start is known to a few hundredths of a second.
    const begun = (metrics) => metrics.one('process_start_time_seconds');
    if (this.before && Math.abs(begun(this.before) - begun(now)) < 1) {
      this.drawCharts(this.before, now);
    }
    this.before = now;
  }

  drawCharts(before, now) {
    const seconds = Math.max(0.1, (now.at - before.at) / 1000);
    const isWork = (labels) => !OWN_ROUTES.has(labels.route);
    const requests = (first) => (now.sum('vultus_http_requests_total', (labels) => isWork(labels) && labels.status.startsWith(first))
      - before.sum('vultus_http_requests_total', (labels) => isWork(labels) && labels.status.startsWith(first))) / seconds;
    this.charts.rates.push([requests('2'), requests('4'), requests('5')]);
    const times = now.quantiles(before, 'vultus_http_request_seconds', isWork, [0.5, 0.95]);
    this.charts.latency.push(times.map((value) => (value === null ? null : value * 1000)));
    this.charts.queue.push(LANES.map((lane) => now.sum('vultus_lane_waiting', (labels) => labels.lane === lane) + now.sum('vultus_lane_running', (labels) => labels.lane === lane)));
    const decisions = (kind, outcome) => {
      const isIt = (labels) => labels.decision === kind && labels.outcome === outcome;
      return ((now.sum('vultus_decisions_total', isIt) - before.sum('vultus_decisions_total', isIt)) / seconds) * 60;
    };
    this.charts.decisions.push([decisions('identification', 'known'), decisions('identification', 'unknown')]);
    this.charts.liveness.push([decisions('liveness', 'live'), decisions('liveness', 'not_live')]);
    const cpu = (now.one('process_cpu_seconds_total') - before.one('process_cpu_seconds_total')) / seconds;
    this.charts.cpu.push([cpu * 100]);
  }
}

function charts() {
  const whole = (value) => number(value, value > 0 && value < 10 ? 1 : 0);
  return {
    rates: new Chart(t('watch.rates'), [t('watch.done'), t('watch.refused'), t('watch.failed')], (value) => t('watch.persecond', { value: whole(value) })),
    latency: new Chart(t('watch.latency'), [t('watch.half'), t('watch.most')], (value) => t('watch.milliseconds', { value: whole(value) })),
    queue: new Chart(t('watch.queue'), LANES.map((lane) => t(`lane.${lane}`)), whole, { least: 1 }),
    decisions: new Chart(t('watch.decisions'), [t('outcome.known'), t('outcome.unknown')], (value) => t('watch.perminute', { value: whole(value) })),
    liveness: new Chart(t('watch.liveness'), [t('outcome.live'), t('outcome.not_live')], (value) => t('watch.perminute', { value: whole(value) })),
    cpu: new Chart(t('watch.cpu'), [t('watch.processors')], (value) => `${whole(value)} %`, { least: 100 }),
  };
}

// The page of metrics, read once.
class Metrics {
  constructor(text) {
    this.at = performance.now();
    this.all = new Map();
    for (const line of text.split('\n')) {
      const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (found) {
        const labels = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
        const list = this.all.get(found[1]) ?? [];
        list.push({ labels, value: Number(found[3]) });
        this.all.set(found[1], list);
      }
    }
  }

  sum(name, is = () => true) {
    return (this.all.get(name) ?? []).filter(({ labels }) => is(labels)).reduce((sum, { value }) => sum + value, 0);
  }

  one(name) {
    return this.sum(name);
  }

  // Below what value such parts of what came since `before` lie.
  quantiles(before, name, is, parts) {
    const limits = new Map();
    for (const [from, sign] of [[this, 1], [before, -1]]) {
      for (const { labels, value } of from.all.get(`${name}_bucket`) ?? []) {
        if (is(labels)) {
          limits.set(labels.le, (limits.get(labels.le) ?? 0) + sign * value);
        }
      }
    }
    const steps = [...limits].map(([limit, count]) => [limit === '+Inf' ? Infinity : Number(limit), count]).sort((a, b) => a[0] - b[0]);
    const total = steps.length ? steps[steps.length - 1][1] : 0;
    return parts.map((part) => {
      if (total <= 0) {
        return null;
      }
      const at = steps.findIndex(([, count]) => count >= part * total);
      const [high, upTo] = steps[at];
      const [low, below] = at > 0 ? steps[at - 1] : [0, 0];
      return high === Infinity ? low : low + ((high - low) * (part * total - below)) / Math.max(1, upTo - below);
    });
  }
}
