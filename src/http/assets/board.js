// Makes a page live: listens to the changes, brings the page up to date, counts the seconds, and says
// loudly when nothing is heard. Without it the page works too, and is as old as its last loading.
'use strict';
(() => {
  const SILENT_AFTER_MS = 15000;
  const REFRESH_EVERY_MS = 1000;
  const AT_LEAST_EVERY_MS = 15000;
  const main = () => document.querySelector('main');
  const byId = (id) => document.getElementById(id);
  const live = document.body.dataset.live === 'yes';

  // The server's clock decides, not this machine's.
  let ahead = 0;
  const setClock = () => {
    const now = main().dataset.now;
    if (now) ahead = Date.parse(now) - Date.now();
  };
  const now = () => Date.now() + ahead;

  // What is being typed, what is open and what has the focus survives an update.
  const edited = (field) =>
    field.type === 'radio' || field.type === 'checkbox'
      ? field.checked !== field.defaultChecked
      : field.tagName === 'SELECT'
        ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected))
        : field.value !== field.defaultValue;
  const fields = (form) => [...form.elements].filter((field) => field.name && field.type !== 'hidden');

  const keyOf = (element) => {
    if (!element || element === document.body) return null;
    if (element.id) return { id: element.id };
    const form = element.form;
    if (form && form.id && element.name) {
      return { form: form.id, name: element.name, value: element.type === 'radio' ? element.value : null };
    }
    const holder = element.closest('[id]');
    if (!holder) return null;
    const alike = [...holder.querySelectorAll(element.tagName)];
    return { holder: holder.id, tag: element.tagName, index: alike.indexOf(element) };
  };
  const found = (key, root) => {
    if (key.id) return root.querySelector('#' + CSS.escape(key.id));
    if (key.form) {
      const form = root.querySelector('#' + CSS.escape(key.form));
      return form && fields(form).find((field) =>
        field.name === key.name && (key.value === null || field.value === key.value));
    }
    const holder = key.holder === main().id ? root : root.querySelector('#' + CSS.escape(key.holder));
    return holder && holder.querySelectorAll(key.tag)[key.index];
  };

  const keep = (old, fresh) => {
    for (const open of old.querySelectorAll('details[id][open]')) {
      const same = fresh.querySelector('#' + CSS.escape(open.id));
      if (same) same.open = true;
    }
    for (const form of old.querySelectorAll('form[id]')) {
      if (!fields(form).some(edited)) continue;
      const same = fresh.querySelector('#' + CSS.escape(form.id));
      if (!same) {
        // What it was about is over: what was typed is not thrown away.
        const kept = form.closest('article') || form;
        kept.classList.add('kept');
        fresh.prepend(kept);
        continue;
      }
      for (const field of fields(form)) {
        const other = fields(same).find((one) =>
          one.name === field.name && (field.type !== 'radio' || one.value === field.value));
        if (!other) continue;
        if (field.type === 'radio' || field.type === 'checkbox') other.checked = field.checked;
        else other.value = field.value;
      }
    }
  };

  const announce = (old, fresh) => {
    const known = new Set([...old.querySelectorAll('[data-alert]')].map((one) => one.dataset.alert));
    const says = [...fresh.querySelectorAll('[data-says]')]
      .filter((one) => !known.has(one.dataset.alert))
      .map((one) => one.dataset.says);
    if (says.length > 0) {
      byId('news').textContent = says.length > 3
        ? `${says.length} new alerts, the gravest: ${says[0]}`
        : `New: ${says.join('; ')}`;
    }
  };

  const exchange = (html) => {
    const fresh = new DOMParser().parseFromString(html, 'text/html').querySelector('main');
    const old = main();
    if (!fresh || !old) return;
    const active = keyOf(document.activeElement);
    const field = document.activeElement;
    const selection = field && 'selectionStart' in field && field.type !== 'time' ? [field.selectionStart, field.selectionEnd] : null;
    announce(old, fresh);
    keep(old, fresh);
    const [x, y] = [window.scrollX, window.scrollY];
    old.replaceWith(fresh);
    window.scrollTo(x, y);
    const again = active && found(active, fresh);
    if (again && again !== document.activeElement) {
      again.focus({ preventScroll: true });
      try {
        if (selection && selection[0] !== null) again.setSelectionRange(...selection);
      } catch { /* fields of some types have no selection */ }
    }
    setClock();
    tick();
  };

  let refreshing = false;
  let wanted = false;
  let refreshedAt = Date.now();
  const refresh = async () => {
    if (refreshing) { wanted = true; return; }
    refreshing = true;
    wanted = false;
    try {
      const answer = await fetch(location.href, { headers: { 'X-Fragment': 'board' }, redirect: 'manual' });
      if (answer.type === 'opaqueredirect' || answer.status === 401) { location.reload(); return; }
      if (answer.ok) exchange(await answer.text());
      refreshedAt = Date.now();
    } catch {
      wanted = true; // The stream will say so loudly if it lasts.
    }
    setTimeout(() => { refreshing = false; if (wanted) refresh(); }, REFRESH_EVERY_MS);
  };

  let heardAt = Date.now();
  const heard = () => { heardAt = Date.now(); };
  const listen = () => {
    const stream = new EventSource('/api/v1/stream');
    const changed = () => { heard(); refresh(); };
    // A connection that was broken may have missed something.
    stream.onopen = changed;
    for (const name of ['visit', 'alert', 'reload']) stream.addEventListener(name, changed);
    stream.addEventListener('ping', heard);
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) { stream.close(); setTimeout(listen, 5000); }
    };
  };

  const two = (number) => String(number).padStart(2, '0');
  const span = (ms) => {
    const seconds = Math.floor(Math.abs(ms) / 1000);
    const hours = Math.floor(seconds / 3600);
    const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
    return hours > 0 ? `${hours}:${rest}` : rest;
  };
  const tick = () => {
    for (const left of document.querySelectorAll('[data-until]')) {
      const ms = Date.parse(left.dataset.until) - now();
      left.textContent = `${span(ms)} ${ms < 0 ? 'too late' : 'left'}`;
      left.parentElement.classList.toggle('late', ms < 0);
    }
    const clock = byId('clock');
    if (clock) {
      clock.textContent = new Intl.DateTimeFormat('en-GB', {
        timeZone: clock.dataset.zone, hour: '2-digit', minute: '2-digit', second: '2-digit',
      }).format(now());
    }
    const line = document.querySelector('path.now');
    if (line) {
      const minute = (now() - Date.parse(line.dataset.begin)) / 60000;
      if (minute >= 0 && minute <= Number(line.dataset.minutes)) {
        line.setAttribute('d', line.getAttribute('d').replace(/^M[\d.]+/, `M${minute.toFixed(1)}`));
      }
    }
  };
  const watch = () => {
    const silent = Date.now() - heardAt > SILENT_AFTER_MS;
    const loud = byId('silent');
    if (loud && loud.hidden === silent) {
      loud.hidden = !silent;
      document.body.classList.toggle('silent', silent);
      document.title = silent ? `NOT LIVE: ${document.title}` : document.title.replace(/^NOT LIVE: /, '');
    }
    // Deadlines pass without anybody saying anything.
    if (Date.now() - refreshedAt > AT_LEAST_EVERY_MS) refresh();
  };

  // Dark, because it is night; as the device has it for whoever asks for that.
  const colours = byId('colours');
  const asDevice = () => localStorage.getItem('colours') === 'device';
  const paint = () => {
    document.documentElement.classList.toggle('device', asDevice());
    if (colours) colours.textContent = asDevice() ? 'Dark colours' : 'Colours as this device has them';
  };
  paint();
  if (colours) {
    colours.hidden = false;
    colours.addEventListener('click', () => {
      localStorage.setItem('colours', asDevice() ? 'dark' : 'device');
      paint();
    });
  }

  setClock();
  if (live) {
    listen();
    setInterval(() => { tick(); watch(); }, 1000);
    tick();
  }
})();
