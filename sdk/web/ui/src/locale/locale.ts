import { german } from './german.js';
import { english, type Key, type Table } from './strings.js';

const tables = new Map<string, Table>([
  ['en', english],
  ['de', german],
]);
const followers = new Set<() => void>();
let language = 'en';
let table: Table = english;
let plurals = new Intl.PluralRules('en');
let formats = makeFormats('en');

function makeFormats(tag: string) {
  return {
    time: new Intl.DateTimeFormat(tag, { hour: 'numeric', minute: '2-digit' }),
    weekday: new Intl.DateTimeFormat(tag, { weekday: 'long' }),
    date: new Intl.DateTimeFormat(tag, { day: 'numeric', month: 'long' }),
    dateOfYear: new Intl.DateTimeFormat(tag, { day: 'numeric', month: 'long', year: 'numeric' }),
    short: new Intl.DateTimeFormat(tag, { day: '2-digit', month: '2-digit', year: '2-digit' }),
    full: new Intl.DateTimeFormat(tag, { dateStyle: 'full', timeStyle: 'short' }),
    list: new Intl.ListFormat(tag, { type: 'conjunction' }),
    number: new Intl.NumberFormat(tag, { maximumFractionDigits: 1 }),
  };
}

/** Adds a language, or words of one that is there: what is left out is English. */
export function addLanguage(tag: string, words: Partial<Table>): void {
  tables.set(tag, { ...english, ...tables.get(tag), ...words });
  if (tag === language) setLanguage(tag);
}

/** All elements of the page speak it from now on. A tag that has no table is looked up by its first part; dates follow the whole tag. */
export function setLanguage(tag: string): void {
  const found = tables.get(tag) ?? tables.get(tag.split('-')[0] ?? '');
  language = tag;
  table = found ?? english;
  let formatTag = tag;
  try {
    Intl.getCanonicalLocales(tag);
  } catch {
    formatTag = 'en';
  }
  plurals = new Intl.PluralRules(formatTag);
  formats = makeFormats(formatTag);
  for (const follower of followers) follower();
}

export function currentLanguage(): string {
  return language;
}

export function onLanguage(follower: () => void): () => void {
  followers.add(follower);
  return () => followers.delete(follower);
}

export type Values = { readonly [name: string]: string | number };

/** What `key` is in the page's language. */
export function say(key: Key, values: Values = {}): string {
  const entry = table[key];
  const words =
    typeof entry === 'string' ? entry : plurals.select(Number(values.count ?? 0)) === 'one' ? entry[0] : entry[1];
  return words.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === 'number' ? formats.number.format(value) : value;
  });
}

export function listOf(names: readonly string[]): string {
  return formats.list.format(names);
}

export function clockTime(at: number): string {
  return formats.time.format(at);
}

export function fullTime(at: number): string {
  return formats.full.format(at);
}

/** Of the local day: 2026-11-28. */
export function dayOf(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
}

function daysBetween(at: number, now: number): number {
  const midnight = (time: number) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(at)) / 86_400_000);
}

/** As a heading between messages. */
export function dayName(at: number, now = Date.now()): string {
  const days = daysBetween(at, now);
  if (days === 0) return say('time.today');
  if (days === 1) return say('time.yesterday');
  if (days > 1 && days < 7) return formats.weekday.format(at);
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? formats.date : formats.dateOfYear).format(at);
}

/** As short as a list wants it: the time today, the weekday this week, then the date. */
export function shortTime(at: number, now = Date.now()): string {
  if (!at) return '';
  const days = daysBetween(at, now);
  if (days <= 0) return formats.time.format(at);
  if (days === 1) return say('time.yesterday');
  if (days < 7) return formats.weekday.format(at);
  return formats.short.format(at);
}

/** `last seen today at 12:30`. */
export function lastSeen(at: number, now = Date.now()): string {
  const days = daysBetween(at, now);
  const time = formats.time.format(at);
  return say('presence.lastSeen', { when: days === 0 ? time : `${dayName(at, now)}, ${time}` });
}

export function fileSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${formats.number.format(value)} ${units[unit]}`;
}
