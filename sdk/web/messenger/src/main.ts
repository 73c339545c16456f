import './app.js';
import { applyLanguage, applyTheme } from './preferences.js';

applyTheme();
applyLanguage();

// The shell opens without a network. Not while developing: it would show yesterday's code.
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  navigator.serviceWorker.register('/sw.js').catch(() => undefined);
}
