import type { MessageView } from '../model.js';
import type { Mark, Summary } from './state.js';

/** Kept by this device beside what the client keeps: how far messages came, and where groups were read to. Without it only ticks and counts of groups begin anew. */
export interface Kept {
  readonly marks: ReadonlyMap<string, Mark>;
  readonly groups: ReadonlyMap<string, number>;
  /** This device was here before: a group that it does not know is a new one, not one that was read elsewhere. */
  readonly known: boolean;
}

const NOTHING: Kept = { marks: new Map(), groups: new Map(), known: false };
const MOST_MARKS = 2000;
const MOST_LISTED = 60;
const LIST_MS = 500;

export class Memory {
  readonly #name: string;
  #writing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    account: string,
    private readonly storage: Pick<Storage, 'getItem' | 'setItem'> | undefined,
  ) {
    this.#name = `tidings.ui.${account}`;
  }

  read(): Kept {
    try {
      const kept = JSON.parse(this.storage?.getItem(this.#name) ?? 'null') as {
        marks?: unknown;
        groups?: unknown;
      } | null;
      if (!kept || !Array.isArray(kept.marks) || !Array.isArray(kept.groups)) return NOTHING;
      const marks = kept.marks.flatMap((entry): [string, Mark][] =>
        isMark(entry) ? [[entry[0], { delivered: entry[1], read: entry[2] }]] : [],
      );
      const groups = kept.groups.flatMap((entry): [string, number][] =>
        Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number'
          ? [[entry[0], entry[1]]]
          : [],
      );
      return { marks: new Map(marks), groups: new Map(groups), known: true };
    } catch {
      return NOTHING;
    }
  }

  /** Soon, and not more often than now and then. */
  write(kept: () => Omit<Kept, 'known'>): void {
    this.#writing ??= setTimeout(() => {
      this.#writing = undefined;
      this.writeNow(kept());
    }, 250);
  }

  writeNow({ marks, groups }: Omit<Kept, 'known'>): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    try {
      const written = {
        marks: [...marks].slice(-MOST_MARKS).map(([name, { delivered, read }]) => [name, delivered, read]),
        groups: [...groups],
      };
      this.storage?.setItem(this.#name, JSON.stringify(written));
    } catch {
      // The storage is full or closed: see above.
    }
  }
}

/** The list as it was last seen: shown until the server tells, and when it cannot. */
export class KeptList {
  readonly #name: string;
  #writing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    account: string,
    private readonly storage: Pick<Storage, 'getItem' | 'setItem'> | undefined,
  ) {
    this.#name = `tidings.ui.${account}.list`;
  }

  read(): Summary[] {
    try {
      const kept: unknown = JSON.parse(this.storage?.getItem(this.#name) ?? '[]');
      return Array.isArray(kept) ? kept.filter(isSummary) : [];
    } catch {
      return [];
    }
  }

  /** Soon, and not more often than now and then. */
  write(summaries: () => Iterable<Summary>): void {
    this.#writing ??= setTimeout(() => this.writeNow(summaries()), LIST_MS);
  }

  writeNow(summaries: Iterable<Summary>): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    const newest = [...summaries].sort((a, b) => b.lastAt - a.lastAt).slice(0, MOST_LISTED);
    try {
      this.storage?.setItem(this.#name, JSON.stringify(newest.map(short)));
    } catch {
      // The storage is full or closed: the list comes from the server.
    }
  }
}

/** One line is shown of a message: no more of it is kept. */
function short(summary: Summary): Summary {
  const { last } = summary;
  if (!last) return summary;
  const files = last.files.map(({ id, name, mediaType, size }) => ({ id, name, mediaType, size }));
  const said: MessageView = { ...last, text: last.text.slice(0, 200), files, reactions: [], mentions: [] };
  return { ...summary, last: said };
}

function isSummary(value: unknown): value is Summary {
  const summary = value as Summary | null;
  const last = summary?.last;
  return (
    typeof summary?.key === 'string' &&
    /^[ug]\//.test(summary.key) &&
    typeof summary.lastAt === 'number' &&
    typeof summary.unread === 'number' &&
    (last === undefined ||
      (typeof last.text === 'string' && Array.isArray(last.files) && typeof last.from === 'string'))
  );
}

function isMark(entry: unknown): entry is [string, number, number] {
  return (
    Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number' && typeof entry[2] === 'number'
  );
}
