// Resumable upload by the tus protocol 1.0 (https://tus.io/protocols/resumable-upload): create, then append chunks; after a break the server says where
// to go on.
import { Backoff } from '../core/backoff.js';
import type { Service } from './service.js';

const TUS = { 'Tus-Resumable': '1.0.0' };
const CHUNK = { first: 256 * 1024, smallest: 64 * 1024, largest: 8 * 1024 * 1024 };
/** A chunk is to take about so long, in ms: between them is progress, and a break costs no more. */
const CHUNK_TIME = 1000;
/** Attempts in a row that brought nothing. */
const ATTEMPTS = 10;

export interface Upload {
  file: Blob;
  name: string;
  mediaType: string;
  signal: AbortSignal | undefined;
  onProgress: (sent: number) => void;
  /** Where an earlier upload of the same file stands, and where this one does. */
  resume: { get(): string | null; set(url: string | undefined): void };
}

/** Answers the address of the complete upload. */
export async function upload(
  service: Service,
  { file, name, mediaType, signal, onProgress, resume }: Upload,
): Promise<string> {
  const backoff = new Backoff(500, 20_000);
  let url = resume.get() ?? undefined;
  let offset: number | undefined;
  let chunk = CHUNK.first;
  let failures = 0;
  for (;;) {
    try {
      if (url === undefined) {
        url = await creation(service, file, name, mediaType, signal);
        offset = 0;
        resume.set(url);
      }
      offset ??= await position(service, url, file.size, signal);
      onProgress(offset);
      while (offset < file.size) {
        const began = performance.now();
        const end: number = Math.min(offset + chunk, file.size);
        offset = await append(service, url, offset, file.slice(offset, end), signal);
        onProgress(offset);
        failures = 0;
        backoff.reset();
        const took = performance.now() - began;
        if (took < CHUNK_TIME / 2) chunk = Math.min(chunk * 2, CHUNK.largest);
        else if (took > CHUNK_TIME * 2) chunk = Math.max(chunk / 2, CHUNK.smallest);
      }
      return url;
    } catch (error) {
      signal?.throwIfAborted();
      const failure = service.failureOf(error);
      if (failure === 'gone' && url !== undefined) {
        url = undefined;
        resume.set(undefined);
      } else if (failure === 'final') {
        resume.set(undefined);
        throw error;
      }
      failures += 1;
      if (failures >= ATTEMPTS) throw error;
      // How much of the last chunk arrived only the server knows.
      offset = undefined;
      await service.pause(backoff.next(Math.random), signal, error);
    }
  }
}

async function creation(
  service: Service,
  file: Blob,
  name: string,
  mediaType: string,
  signal?: AbortSignal,
): Promise<string> {
  const metadata = [`filename ${base64(name)}`, `filetype ${base64(mediaType)}`].join(',');
  const headers = { ...TUS, 'Upload-Length': String(file.size), 'Upload-Metadata': metadata };
  const response = await service.call('POST', service.address('/files/v1/uploads'), { headers, signal });
  const location = response.headers.get('Location');
  if (!location) throw service.unexpected('the file service named no upload');
  return new URL(location, response.url || service.base).href;
}

async function position(service: Service, url: string, size: number, signal?: AbortSignal): Promise<number> {
  return offsetOf(service, await service.call('HEAD', url, { headers: TUS, signal }), 0, size);
}

async function append(
  service: Service,
  url: string,
  offset: number,
  body: Blob,
  signal?: AbortSignal,
): Promise<number> {
  const headers = { ...TUS, 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream' };
  const response = await service.call('PATCH', url, { headers, body, signal });
  return offsetOf(service, response, offset + 1, offset + body.size);
}

function offsetOf(service: Service, response: Response, from: number, to: number): number {
  const offset = Number(response.headers.get('Upload-Offset') ?? Number.NaN);
  if (!(offset >= from && offset <= to)) throw service.unexpected(`the file service is at ${offset}`);
  return offset;
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
