/**
 * Who a tab is. Each tab is one person: it keeps its own sign-in (`sessionStorage`), which a reload keeps and a new tab does not have.
 * Who signed in on this browser before is remembered (`localStorage`), so that a new tab can go on as one of them.
 */
export interface Session {
  readonly user: string;
  readonly token: string;
  /** As it was typed. */
  readonly name: string;
}

const HERE = 'tidings.session';
const BEFORE = 'tidings.people';
const MOST = 8;

function isSession(value: unknown): value is Session {
  const session = value as Session | null;
  return typeof session?.user === 'string' && typeof session.token === 'string' && typeof session.name === 'string';
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}

export function currentSession(): Session | undefined {
  const session = parsed(sessionStorage.getItem(HERE));
  return isSession(session) ? session : undefined;
}

export function remembered(): Session[] {
  const people = parsed(localStorage.getItem(BEFORE));
  return Array.isArray(people) ? people.filter(isSession).slice(0, MOST) : [];
}

export function keepSession(session: Session): void {
  sessionStorage.setItem(HERE, JSON.stringify(session));
  const others = remembered().filter(({ user }) => user !== session.user);
  localStorage.setItem(BEFORE, JSON.stringify([session, ...others].slice(0, MOST)));
}

export function endSession(): void {
  sessionStorage.removeItem(HERE);
}

export function forget(user: string): void {
  localStorage.setItem(BEFORE, JSON.stringify(remembered().filter((session) => session.user !== user)));
}

export class SignInError extends Error {}

/** Signs in with a name, where the server lets anybody do so. */
export async function demoSignIn(name: string): Promise<Session> {
  const answer = await fetch('/demo/sign-in', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  const told = (await answer.json().catch(() => ({}))) as {
    user?: string;
    token?: string;
    error?: { message?: string };
  };
  if (!answer.ok || !told.user || !told.token)
    throw new SignInError(told.error?.message ?? `${answer.status} ${answer.statusText}`);
  return { user: told.user, token: told.token, name };
}
