// Uploads and downloads against a file service in the same process, which breaks off where a test says so.
import { createHash } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { Client, type ClientOptions, ErrorCode, TidingsError } from '../src/index.js';
import { Browser } from './support/browser.js';
import { within } from './support/deadline.js';
import { Gateway } from './support/gateway.js';

interface Kept {
  length: number;
  bytes: Uint8Array[];
  metadata: Record<string, string>;
}

/** A tus 1.0 server. */
class FileService {
  readonly uploads = new Map<string, Kept>();
  readonly calls: string[] = [];
  readonly tokens: (string | null)[] = [];
  /** Called before each answer to say otherwise; throws as a lost connection does. */
  fault: (call: string, offset: number) => Response | undefined = () => undefined;
  readonly download = new Uint8Array(100_000).map((_, index) => index % 251);

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(String(input));
    const headers = new Headers(init.headers);
    const call = `${init.method} ${url.pathname}`;
    this.calls.push(call);
    this.tokens.push(headers.get('Authorization'));
    init.signal?.throwIfAborted();
    const offset = Number(headers.get('Upload-Offset') ?? headers.get('Range')?.slice(6, -1) ?? 0);
    const fault = this.fault(call, offset);
    if (fault) return fault;
    if (url.pathname.startsWith('/files/v1/download/')) return this.#download(headers.get('Range'));
    if (url.pathname.endsWith('/link')) {
      return Response.json({
        url: `/files/v1/download/x?signature=${this.calls.length}`,
        expires_at_ms: Date.now() + 600_000,
      });
    }
    if (init.method !== 'GET') expect(headers.get('Tus-Resumable')).toBe('1.0.0');
    if (init.method === 'POST') return this.#create(headers);
    const upload = this.uploads.get(url.pathname);
    if (!upload) return Response.json({ error: { code: 'NOT_FOUND', message: 'no such upload' } }, { status: 404 });
    const at = () => upload.bytes.reduce((sum, part) => sum + part.length, 0);
    if (init.method === 'PATCH') {
      expect(headers.get('Content-Type')).toBe('application/offset+octet-stream');
      if (offset !== at()) return new Response(null, { status: 409 });
      upload.bytes.push(new Uint8Array(await (init.body as Blob).arrayBuffer()));
      return new Response(null, { status: 204, headers: { 'Upload-Offset': String(at()) } });
    }
    if (init.method === 'HEAD') return new Response(null, { headers: { 'Upload-Offset': String(at()) } });
    const sha256 = createHash('sha256').update(Buffer.concat(upload.bytes)).digest('hex');
    return Response.json({
      file: 'f1',
      name: upload.metadata.filename,
      media_type: 'text/plain',
      size: at(),
      sha256,
      url: null,
    });
  };

  #create(headers: Headers): Response {
    const metadata = Object.fromEntries(
      (headers.get('Upload-Metadata') ?? '').split(',').map((pair) => {
        const [key = '', value = ''] = pair.split(' ');
        return [key, Buffer.from(value, 'base64').toString()];
      }),
    );
    const location = `/files/v1/uploads/${this.uploads.size + 1}`;
    this.uploads.set(location, { length: Number(headers.get('Upload-Length')), bytes: [], metadata });
    return new Response(null, { status: 201, headers: { Location: location } });
  }

  #download(range: string | null): Response {
    const from = Number(range?.slice(6, -1) ?? 0);
    return new Response(this.download.slice(from), { status: range ? 206 : 200 });
  }
}

function client(service: FileService, options: Partial<ClientOptions> = {}, browser = new Browser()): Client {
  const getToken = async ({ reason }: { reason: string }) => (reason === 'expired' ? 'fresh' : 'secret-token');
  const page = browser.page(new Gateway(), service.fetch);
  return new Client({ url: 'ws://gateway:7700', getToken, ...options }, page.environment);
}

const bytes = new Uint8Array(1_500_000).map((_, index) => (index * 7) % 256);
const picture = () => new File([bytes], 'größe.txt', { type: 'text/plain', lastModified: 5 });

test('a file is uploaded in chunks, with progress, and is what goes into a message', async () => {
  const service = new FileService();
  const seen: number[] = [];
  const onProgress = ({ sent, total }: { sent: number; total: number }) => {
    expect(total).toBe(bytes.length);
    seen.push(sent);
  };
  const attachment = await within('uploaded', client(service).files.upload(picture(), { onProgress }));
  const [upload] = service.uploads.values();
  expect(Buffer.concat(upload?.bytes ?? []).equals(bytes)).toBe(true);
  expect(upload).toMatchObject({ length: bytes.length, metadata: { filename: 'größe.txt', filetype: 'text/plain' } });
  const sha256 = new Uint8Array(createHash('sha256').update(bytes).digest());
  expect(attachment).toMatchObject({
    file: 'f1',
    url: '',
    name: 'größe.txt',
    mediaType: 'text/plain',
    size: bytes.length,
    sha256,
  });
  expect(seen[0]).toBe(0);
  expect(seen.at(-1)).toBe(bytes.length);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(service.calls.filter((call) => call.startsWith('PATCH')).length).toBeGreaterThan(2);
  // The token is in no address.
  expect(new Set(service.tokens)).toEqual(new Set(['Bearer secret-token']));
});

test('an empty file is one as well', async () => {
  const service = new FileService();
  expect(await client(service).files.upload(new Blob([]), { name: 'empty' })).toMatchObject({ size: 0, name: 'empty' });
  expect(service.calls.map((call) => call.split(' ')[0])).toEqual(['POST', 'GET']);
});

test('after a lost answer the upload goes on where the service stands', async () => {
  const service = new FileService();
  let lost = 0;
  service.fault = (call, offset) => {
    if (call.startsWith('PATCH') && offset > 0 && lost < 2) {
      lost += 1;
      if (lost === 1) throw new TypeError('connection lost');
      return new Response('busy', { status: 503 });
    }
    return undefined;
  };
  await within('uploaded', client(service).files.upload(picture()));
  expect(service.uploads.size).toBe(1);
  expect(service.calls.filter((call) => call.startsWith('HEAD')).length).toBe(2);
  expect(Buffer.concat([...service.uploads.values()][0]?.bytes ?? []).equals(bytes)).toBe(true);
});

test('after a reload the same file goes on, and another one does not', async () => {
  const [service, browser] = [new FileService(), new Browser()];
  const abort = new AbortController();
  const onProgress = ({ sent }: { sent: number }) => sent > 0 && abort.abort();
  const first = client(service, {}, browser).files.upload(picture(), {
    signal: abort.signal,
    onProgress: (p) => void onProgress(p),
  });
  await expect(first).rejects.toMatchObject({ name: 'AbortError' });
  const seen: number[] = [];
  await within(
    'uploaded',
    client(service, {}, browser).files.upload(picture(), { onProgress: ({ sent }) => void seen.push(sent) }),
  );
  expect(service.uploads.size).toBe(1);
  expect(seen[0]).toBeGreaterThan(0);
  expect(Buffer.concat([...service.uploads.values()][0]?.bytes ?? []).equals(bytes)).toBe(true);
  // What is complete is not noted any more.
  expect(browser.items.size).toBe(0);
  await client(service, {}, browser).files.upload(
    new File(['other'], 'größe.txt', { type: 'text/plain', lastModified: 6 }),
  );
  expect(service.uploads.size).toBe(2);
});

test('an upload that the service forgot begins anew', async () => {
  const [service, browser] = [new FileService(), new Browser()];
  service.fault = (call) => {
    service.fault = () => undefined;
    expect(call).toBe('POST /files/v1/uploads');
    return new Response(null, { status: 201, headers: { Location: '/files/v1/uploads/forgotten' } });
  };
  await within('uploaded', client(service, {}, browser).files.upload(picture()));
  expect(service.calls.slice(0, 4)).toEqual([
    'POST /files/v1/uploads',
    'PATCH /files/v1/uploads/forgotten',
    'POST /files/v1/uploads',
    'PATCH /files/v1/uploads/1',
  ]);
});

test('an upload that brings nothing fails in the end, and goes on when it is given again', async () => {
  const [service, browser] = [new FileService(), new Browser()];
  service.fault = (call) =>
    call.startsWith('PATCH') || call.startsWith('HEAD') ? new Response(null, { status: 503 }) : undefined;
  vi.useFakeTimers();
  try {
    let ended: unknown;
    client(service, {}, browser)
      .files.upload(picture())
      .catch((error) => (ended = error));
    while (ended === undefined) await vi.advanceTimersByTimeAsync(20_000);
    expect(ended).toMatchObject({ status: 503 });
  } finally {
    vi.useRealTimers();
  }
  expect(service.calls.length).toBe(1 + 10);
  service.fault = () => undefined;
  await within('uploaded', client(service, {}, browser).files.upload(picture()));
  expect(service.uploads.size).toBe(1);
});

test('the policy that refuses is named, and nothing is tried again', async () => {
  const service = new FileService();
  const error = { code: 'TOO_LARGE', message: 'at most 1 MiB' };
  service.fault = () => Response.json({ error }, { status: 413 });
  await expect(client(service).files.upload(picture())).rejects.toMatchObject({
    ...{ name: 'TidingsError', kind: 'refused', code: ErrorCode.TOO_LARGE, status: 413 },
    message: 'TOO_LARGE: at most 1 MiB',
  });
  expect(service.calls.length).toBe(1);
  service.fault = () => Response.json({ error: { code: 'OF_A_NEWER_SERVER', message: 'no' } }, { status: 403 });
  await expect(client(service).files.upload(picture())).rejects.toThrow('OF_A_NEWER_SERVER: no');
});

test('an expired token is asked for anew', async () => {
  const service = new FileService();
  service.fault = () => {
    if (service.tokens.at(-1) === 'Bearer fresh') return undefined;
    return Response.json({ error: { code: 'TOKEN_EXPIRED', message: '' } }, { status: 401 });
  };
  await client(service).files.upload(new Blob(['x']));
  expect(new Set(service.tokens)).toEqual(new Set(['Bearer secret-token', 'Bearer fresh']));
});

test('the token goes to nobody else', async () => {
  const service = new FileService();
  service.fault = () => new Response(null, { status: 201, headers: { Location: 'https://elsewhere.example/up' } });
  await expect(client(service).files.upload(picture())).rejects.toMatchObject({ kind: 'unknown-answer' });
  expect(service.calls).toEqual(['POST /files/v1/uploads']);
});

test('an own upload server takes the place of the gateway', async () => {
  const service = new FileService();
  const uploadHandler: ClientOptions['uploadHandler'] = async (file) => ({ url: `https://files.example/${file.size}` });
  const { files } = client(service, { uploadHandler });
  const attachment = await files.upload(picture());
  expect(attachment).toMatchObject({
    file: '',
    url: 'https://files.example/1500000',
    name: 'größe.txt',
    size: bytes.length,
  });
  expect(await files.link(attachment)).toEqual({ url: 'https://files.example/1500000', expiresAtMs: 0 });
  expect(service.calls).toEqual([]);
});

test('a link is asked for once, is absolute, and is never of another kind than http', async () => {
  const service = new FileService();
  const { files } = client(service);
  const [one, two] = [await files.link('f1'), await files.link({ file: 'f1', url: '' })];
  expect(one.url).toBe('http://gateway:7700/files/v1/download/x?signature=1');
  expect(two).toEqual(one);
  await expect(files.link({ file: '', url: 'javascript:alert(1)' })).rejects.toBeInstanceOf(TidingsError);
});

test('a download goes on after a break, and is checked', async () => {
  const service = new FileService();
  const sha256 = new Uint8Array(createHash('sha256').update(service.download).digest());
  const { files } = client(service);
  const attachment = {
    ...(await files.upload(new Blob(['x']))),
    size: service.download.length,
    sha256,
    mediaType: 'image/png',
  };
  let broken = false;
  service.fault = (call) => {
    if (!call.includes('/download/') || broken) return undefined;
    broken = true;
    return new Response(service.download.slice(0, 1000));
  };
  const seen: number[] = [];
  const blob = await within(
    'downloaded',
    files.download(attachment, { onProgress: ({ received }) => void seen.push(received) }),
  );
  expect(blob.type).toBe('image/png');
  expect(Buffer.from(await blob.arrayBuffer()).equals(service.download)).toBe(true);
  expect(seen[0]).toBe(1000);
  const downloads = service.calls.flatMap((call, index) =>
    call.includes('/download/') ? [service.tokens[index]] : [],
  );
  expect(downloads).toEqual([null, null]);
  await expect(files.download({ ...attachment, sha256: new Uint8Array(32) })).rejects.toThrow('not the one');
  await expect(files.download({ ...attachment, size: 10 })).rejects.toThrow('longer');
});

test('a link that has ended is asked for anew, once', async () => {
  const service = new FileService();
  const { files } = client(service);
  const attachment = {
    ...(await files.upload(new Blob(['x']))),
    size: service.download.length,
    sha256: new Uint8Array(),
  };
  await files.link(attachment);
  const gone = (times: number) => (call: string) => {
    if (!call.includes('/download/') || times <= 0) return undefined;
    times -= 1;
    return Response.json({ error: { code: 'EXPIRED', message: 'the link is over' } }, { status: 410 });
  };
  service.fault = gone(1);
  expect((await files.download(attachment)).size).toBe(service.download.length);
  expect(service.calls.filter((call) => call.endsWith('/link')).length).toBe(2);
  service.fault = gone(2);
  await expect(files.download(attachment)).rejects.toMatchObject({ status: 410, code: ErrorCode.EXPIRED });
});

test('names that are too long are cut, and keep what tells their type', async () => {
  const service = new FileService();
  const { name } = await client(service).files.upload(new Blob(['x']), { name: `${'ä'.repeat(200)}.jpeg` });
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
  expect(name.endsWith('ä.jpeg')).toBe(true);
});
