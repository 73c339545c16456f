/** As in `Attachment.thumbnail`. */
const LIMIT = 16 * 1024;
const EDGES = [320, 240, 160, 96];
const QUALITIES = [0.8, 0.6, 0.4];

export interface Picture {
  thumbnail: Uint8Array;
  width: number;
  height: number;
}

/** A small picture of an image, and its size in pixels; nothing where the page cannot make one, or the file is no image. */
export async function pictureOf(file: Blob): Promise<Picture | undefined> {
  if (
    !file.type.startsWith('image/') ||
    typeof createImageBitmap !== 'function' ||
    typeof OffscreenCanvas !== 'function'
  ) {
    return undefined;
  }
  let image: ImageBitmap;
  try {
    image = await createImageBitmap(file);
  } catch {
    return undefined;
  }
  const { width, height } = image;
  try {
    for (const edge of EDGES) {
      const scale = Math.min(1, edge / Math.max(width, height));
      const canvas = new OffscreenCanvas(
        Math.max(1, Math.round(width * scale)),
        Math.max(1, Math.round(height * scale)),
      );
      canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
      for (const quality of QUALITIES) {
        // Where WebP cannot be written it is a PNG, which is often too large, and then a JPEG.
        for (const type of ['image/webp', 'image/jpeg']) {
          const made = await canvas.convertToBlob({ type, quality });
          if (made.size <= LIMIT) return { thumbnail: new Uint8Array(await made.arrayBuffer()), width, height };
        }
      }
    }
  } catch {
    // The picture itself is worth more than its small one.
  } finally {
    image.close();
  }
  return { thumbnail: new Uint8Array(), width, height };
}
