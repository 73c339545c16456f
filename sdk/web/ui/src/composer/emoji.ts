import type { Key } from '../locale/strings.js';

/** The built-in set, by groups: few enough to see at once, enough to talk. */
export const EMOJI: readonly { readonly key: Key; readonly emoji: readonly string[] }[] = [
  {
    key: 'emoji.smileys',
    emoji: [
      ...'😀😃😄😁😅😂🤣😊🙂🙃😉😍🥰😘😋😜🤪🤗🤭🤫🤔🤨😐😶🙄😏😬😌😴🤤😷🤒🥵🥶😵🤯🥳😎🤓🧐😕😟🙁😮😯😲😳🥺😦😧😨😢😭😱😖😞😓😩😫🥱😤😡🤬😈👻🤖💩',
    ],
  },
  {
    key: 'emoji.gestures',
    emoji: [
      '👍',
      '👎',
      '👌',
      '✌️',
      '🤞',
      '🤟',
      '🤙',
      '👈',
      '👉',
      '👆',
      '👇',
      '☝️',
      '✋',
      '👋',
      '👏',
      '🙌',
      '🙏',
      '🤝',
      '💪',
      '🫶',
      '✍️',
      '👀',
      '🧠',
      '🙈',
      '🙉',
      '🙊',
      '🤷',
      '🤦',
    ],
  },
  {
    key: 'emoji.hearts',
    emoji: [
      '❤️',
      '🧡',
      '💛',
      '💚',
      '💙',
      '💜',
      '🖤',
      '🤍',
      '💔',
      '💕',
      '💖',
      '✨',
      '⭐',
      '🔥',
      '🎉',
      '💯',
      '✅',
      '❌',
      '❓',
      '❗',
      '💤',
      '💬',
    ],
  },
  { key: 'emoji.nature', emoji: [...'🐶🐱🐭🐰🦊🐻🐼🐨🐯🦁🐸🐵🐔🐧🦉🐺🐝🦋🐢🐙🐬🌵🌲🌳🌴🌱🍀🌷🌹🌻🌙🌈⛅⚡🌊'] },
  { key: 'emoji.food', emoji: [...'🍏🍎🍐🍊🍋🍌🍉🍇🍓🍒🍑🥑🥦🥕🌽🍞🥐🧀🍳🥞🍔🍟🍕🌮🥗🍝🍣🍪🎂🍰🍫🍿☕🍵🍺🍷🥂'] },
  { key: 'emoji.things', emoji: [...'⚽🏀🎾🎮🎲🎸🎨🎬📷💻📱💡📚📅📌📎🔑🔒🔧🎁🚗🚲🚆🚀🏠🏡🏢🏖🗺⏰⌛💰📈📉🏆🎵'] },
];

const KEPT = 'tidings.emoji';
const MANY = 16;

export function recentEmoji(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? '[]');
    return Array.isArray(kept)
      ? kept.filter((emoji): emoji is string => typeof emoji === 'string' && emoji.length <= 16).slice(0, MANY)
      : [];
  } catch {
    return [];
  }
}

export function rememberEmoji(emoji: string): void {
  try {
    localStorage.setItem(
      KEPT,
      JSON.stringify([emoji, ...recentEmoji().filter((other) => other !== emoji)].slice(0, MANY)),
    );
  } catch {
    // A page without storage has no recent ones.
  }
}
