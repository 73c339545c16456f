import { html, nothing, type TemplateResult } from 'lit';
import { styled } from '../css-variables.js';
import { icons } from '../icons.js';
import { fileSize, say } from '../locale/locale.js';
import type { FileView, MessageView } from '../model.js';
import type { BubbleContext } from './bubble.js';

const WIDEST = 3;
const TALLEST = 0.6;

/** Of a picture that stands alone: the room is there before it has come, so nothing jumps. */
function ratio(file: FileView): string {
  const { width, height } = file.picture ?? { width: 0, height: 0 };
  if (width <= 0 || height <= 0) return '4 / 3';
  return String(Math.min(WIDEST, Math.max(TALLEST, width / height)));
}

function picture(message: MessageView, file: FileView, context: BubbleContext): TemplateResult {
  return html`<button class="picture" part="picture" aria-label="${say('view.photo')}: ${file.name}" ${styled({ '--_ratio': ratio(file) })} @click=${() => context.openFile(message, file)}>
    ${file.thumbnail && !file.address ? html`<img class="thumb" src=${file.thumbnail} alt="" />` : nothing}
    ${file.address ? html`<img src=${file.address} alt=${file.name} decoding="async" @error=${() => context.fileFailed(message, file)} />` : nothing}
    ${file.progress === undefined ? nothing : html`<progress max="1" .value=${file.progress} aria-label=${file.name}></progress>`}
  </button>`;
}

function document(message: MessageView, file: FileView, context: BubbleContext): TemplateResult {
  return html`<button class="file" part="file" title=${say('act.download')} @click=${() => context.openFile(message, file)}>
    <span class="sign">${file.progress === undefined ? icons.file(22) : icons.clock(22)}</span>
    <span class="names"><b class="clip" dir="auto">${file.name}</b><small>${fileSize(file.size)}</small></span>
    ${file.progress === undefined ? nothing : html`<progress max="1" .value=${file.progress} aria-label=${file.name}></progress>`}
  </button>`;
}

export function filesOf(message: MessageView, context: BubbleContext): TemplateResult | typeof nothing {
  const { files } = message;
  if (files.length === 0) return nothing;
  return html`<div class="files ${files.length === 1 ? 'one' : ''}">
    ${files.map((file) => (file.mediaType.startsWith('image/') ? picture(message, file, context) : document(message, file, context)))}
  </div>`;
}
