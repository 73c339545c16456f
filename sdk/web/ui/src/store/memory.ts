import type { Mark } from './state.js';

/** Kept by this device beside what the client keeps: how far messages came, and where groups were read to. Without it only ticks and counts of groups begin anew. */
export interface Kept {
  readonly marks: ReadonlyMap<string, Mark>;
  readonly groups: ReadonlyMap<string, number>;
  /** This device was here before: a group that it does not know is a new one, not one that was read elsewhere. */
  readonly known: boolean;
}

const NOTHING: Kept = { marks: new Map(), groups: new Map(), known: false };
const MOST_MARKS = 2000;

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

function isMark(entry: unknown): entry is [string, number, number] {
  return (
    Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number' && typeof entry[2] === 'number'
  );
}
