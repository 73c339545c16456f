import { setLanguage } from '@tidings/ui';

export type Theme = 'auto' | 'light' | 'dark';

const THEME = 'tidings.theme';
const LANGUAGE = 'tidings.language';
const NOTIFY = 'tidings.notify';

export function theme(): Theme {
  const kept = localStorage.getItem(THEME);
  return kept === 'light' || kept === 'dark' ? kept : 'auto';
}

export function setTheme(chosen: Theme): void {
  localStorage.setItem(THEME, chosen);
  applyTheme();
}

export function applyTheme(): void {
  const chosen = theme();
  if (chosen === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

export function language(): string {
  return localStorage.getItem(LANGUAGE) ?? navigator.language;
}

const RIGHT_TO_LEFT = /^(ar|fa|he|ur)\b/;

export function applyLanguage(tag = language()): void {
  document.documentElement.lang = tag;
  document.documentElement.dir = RIGHT_TO_LEFT.test(tag) ? 'rtl' : 'ltr';
  setLanguage(tag);
}

export function chooseLanguage(tag: string): void {
  localStorage.setItem(LANGUAGE, tag);
  applyLanguage(tag);
}

export function notifies(): boolean {
  return (
    localStorage.getItem(NOTIFY) === 'yes' && 'Notification' in globalThis && Notification.permission === 'granted'
  );
}

export async function setNotifies(on: boolean): Promise<boolean> {
  const granted = on && 'Notification' in globalThis && (await Notification.requestPermission()) === 'granted';
  localStorage.setItem(NOTIFY, granted ? 'yes' : 'no');
  return granted;
}
