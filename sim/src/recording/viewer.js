'use strict';
// Filters the picture, and puts what is left in rows or at its true time. Without this script the
// picture is complete. `data-a`, `data-b`: half rows from and to; `data-m`: id of a message.
(() => {
  const one = (query) => document.querySelector(query);
  const all = (query) => [...document.querySelectorAll(query)];
  const root = document.documentElement;
  root.classList.add('js');
  const picture = one('svg.picture');
  const events = all('g.e');
  const words = events.map((event) => event.querySelector('title').textContent.toLowerCase());
  const times = events.map((event) => Number(event.dataset.t));
  const stretches = all('[data-b]:not(g)');
  const messages = all('g.m[data-m]');
  const lanes = all('.lane[data-n], .head[data-n]');
  const [filter, from, to, axis] = ['#filter', '#from', '#to', '#axis'].map(one);
  const ROW = 20, TOP = 6, PER_UNIT = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 6e10 };
  let shown = events.map(() => true);
  let places = [];
  let truly = null;

  // A filter is a list of terms that all must hold: `word`, `node:n1`, `kind:send,recv`, `-word`.
  function terms(text) {
    const pattern = /(-?)(?:(node|class|kind):)?(?:"([^"]*)"|([^\s"]+))/gi;
    return [...text.matchAll(pattern)].map(([, not, key, quoted, plain]) => {
      const value = (quoted ?? plain).toLowerCase();
      const name = key && { node: 'n', class: 'c', kind: 'k' }[key.toLowerCase()];
      const values = quoted === undefined ? value.split(',') : [value];
      const holds = (at) => name
        ? values.includes((events[at].dataset[name] ?? '').toLowerCase())
        : words[at].includes(value);
      return (at) => holds(at) !== (not === '-');
    });
  }

  // Nanoseconds, or with a unit: 1500000, 1.5ms.
  function time(text, otherwise) {
    const match = /^\s*(\d+\.?\d*|\.\d+)\s*(ns|us|ms|s|m)?\s*$/.exec(text);
    return match ? Number(match[1]) * PER_UNIT[match[2] ?? 'ns'] : otherwise;
  }

  function choose() {
    const holds = terms(filter.value);
    const [first, end] = [time(from.value, -Infinity), time(to.value, Infinity)];
    shown = times.map((at, index) =>
      first <= at && at < end && holds.every((term) => term(index)));
    const count = shown.filter(Boolean).length;
    one('#shown').textContent = count === events.length ? '' : `${count} of ${events.length} shown`;
    const busy = new Set(events.filter((_, at) => shown[at]).map((event) => event.dataset.n));
    const isWhole = count === events.length;
    lanes.forEach((lane) => lane.classList.toggle('dim', !isWhole && !busy.has(lane.dataset.n)));
    place(count);
  }

  // Finds the height of every half row.
  function measure(count) {
    const known = times.filter((_, at) => shown[at]);
    const [low, high] = [known[0] ?? 0, known[known.length - 1] ?? 0];
    const height = axis.checked ? Math.max(count, 20) * ROW : count * ROW;
    truly = (at) => {
      const part = high === low ? 0.5 : (at - low) / (high - low);
      return Math.min(Math.max(part, 0), 1) * (height - ROW) + ROW / 2;
    };
    let above = 0;
    places = [0];
    events.forEach((_, at) => {
      const middle = axis.checked ? truly(times[at]) : (above + (shown[at] ? 0.5 : 0)) * ROW;
      above += shown[at] ? 1 : 0;
      const next = at + 1 < times.length ? truly(times[at + 1]) : height;
      places.push(middle, axis.checked ? (middle + next) / 2 : above * ROW);
    });
    places[places.length - 1] = height;
    places[0] = 0;
    return height + 2 * TOP;
  }

  const y = (half) => places[Math.min(half, places.length - 1)] + TOP;
  const isShown = (half) => half % 2 === 1 && shown[(half - 1) / 2];

  function place(count) {
    const height = Math.round(measure(count));
    const width = picture.viewBox.baseVal.width;
    picture.setAttribute('height', height);
    picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    root.classList.toggle('true-time', axis.checked);
    let last = -Infinity;
    events.forEach((event, at) => {
      const here = y(2 * at + 1);
      const isQuiet = here - last < 13;
      event.classList.toggle('off', !shown[at]);
      event.classList.toggle('quiet', isQuiet);
      event.setAttribute('transform', `translate(0 ${here.toFixed(1)})`);
      last = isQuiet || !shown[at] ? last : here;
    });
    stretches.forEach(stretch);
    messages.forEach(draw);
  }

  function stretch(part) {
    const { a: first, b: end, s: since, u: until } = part.dataset;
    let [a, b] = [y(first), y(end)];
    if (axis.checked) {
      // Rows are near enough for what begins and ends with an event. Faults do not.
      a = since === undefined ? a : truly(Number(since)) + TOP;
      b = until === undefined ? b : truly(Number(until)) + TOP;
      b = Math.max(a + 1, b);
    }
    part.classList.toggle('off', b - a < 0.5);
    if (part.tagName === 'rect') {
      part.setAttribute('y', a);
      part.setAttribute('height', b - a);
    } else if (part.tagName === 'line') {
      part.setAttribute('y1', a);
      part.setAttribute('y2', b);
    } else if (part.hasAttribute('transform')) {
      const x = part.previousElementSibling.getAttribute('x');
      part.setAttribute('transform', `translate(${Number(x) + 5} ${a + 5})rotate(90)`);
      part.classList.toggle('off', b - a < 6 * part.textContent.length);
    } else {
      part.setAttribute('y', a + 4);
      part.classList.toggle('off', b - a < 12);
    }
  }

  function draw(message) {
    const [a, b] = [Number(message.dataset.a), Number(message.dataset.b)];
    const [x, z] = [Number(message.dataset.x), Number(message.dataset.z)];
    const ends = [a, b].filter((half) => half % 2 === 1);
    const count = ends.filter(isShown).length;
    message.classList.toggle('off', count === 0);
    message.classList.toggle('part', 0 < count && count < ends.length);
    const [top, bottom] = [y(a), y(b)];
    const end = message.querySelector('.end');
    end?.setAttribute('transform', `translate(${z} ${bottom})`);
    message.querySelector('path').setAttribute('d', line(x, top, z, bottom, !end));
  }

  function line(x, y, z, w, hasHead) {
    if (!hasHead) return `M${x} ${y}L${z} ${w}`;
    if (x === z) return `M${x} ${y}C${x + 28} ${y} ${x + 28} ${w} ${z} ${w}m6-3l-6 3l6 3`;
    const length = Math.hypot(z - x, w - y) || 1;
    const [u, v] = [(z - x) / length, (w - y) / length];
    const barb = (side) => `${z - 7 * u - side * 3.2 * v} ${w - 7 * v + side * 3.2 * u}`;
    return `M${x} ${y}L${z} ${w}M${barb(1)}L${z} ${w}L${barb(-1)}`;
  }

  // The view is in the address, so that it can be sent to somebody.
  function read() {
    const fields = new URLSearchParams(location.hash.slice(1));
    filter.value = fields.get('filter') ?? '';
    from.value = fields.get('from') ?? '';
    to.value = fields.get('to') ?? '';
    axis.checked = fields.get('axis') === 'time';
    choose();
  }

  function write() {
    const fields = [['filter', filter.value.trim()], ['from', from.value], ['to', to.value]];
    if (axis.checked) fields.push(['axis', 'time']);
    const used = fields.filter(([, value]) => value !== '');
    const text = used.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    history.replaceState(null, '', `#${text.replaceAll('%3A', ':').replaceAll('%2C', ',')}`);
    choose();
  }

  function showViolation() {
    const violation = one('#violation');
    if (!violation || violation.classList.contains('off')) return;
    scrollTo(0, violation.getBoundingClientRect().top + scrollY - innerHeight * 0.6);
  }

  let timer = 0;
  [filter, from, to].forEach((box) => box.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(write, 150);
  }));
  axis.addEventListener('change', () => { write(); showViolation(); });
  one('form').addEventListener('submit', (event) => event.preventDefault());
  all('.head').forEach((head) => head.addEventListener('click', () => {
    const term = `node:${/[\s,"]/.test(head.dataset.n) ? `"${head.dataset.n}"` : head.dataset.n}`;
    filter.value = filter.value === term ? '' : term;
    write();
  }));
  picture.addEventListener('pointerover', (event) => {
    all('.on').forEach((part) => part.classList.remove('on'));
    const id = event.target.closest('[data-m]')?.dataset.m;
    if (id) all(`[data-m="${id}"]`).forEach((part) => part.classList.add('on'));
  });
  addEventListener('hashchange', () => {
    if (location.hash !== '#violation') read();
    else showViolation();
  });
  if (1 < location.hash.length && location.hash !== '#violation') read();
  else showViolation();
})();
