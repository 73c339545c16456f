import { noChange } from 'lit';
import { Directive, directive, type ElementPart, type PartInfo, PartType } from 'lit/directive.js';

/** Sets properties of an element's style through the object model, which a Content-Security-Policy without `unsafe-inline` lets pass. */
class StyleProperties extends Directive {
  #last = new Map<string, string>();

  constructor(info: PartInfo) {
    super(info);
    if (info.type !== PartType.ELEMENT) throw new Error('styled() stands in the place of an attribute');
  }

  render(_properties: Record<string, string>): unknown {
    return noChange;
  }

  override update(part: ElementPart, [properties]: [Record<string, string>]): unknown {
    const style = (part.element as HTMLElement).style;
    for (const name of this.#last.keys()) {
      if (!(name in properties)) {
        style.removeProperty(name);
        this.#last.delete(name);
      }
    }
    for (const [name, value] of Object.entries(properties)) {
      if (this.#last.get(name) === value) continue;
      style.setProperty(name, value);
      this.#last.set(name, value);
    }
    return noChange;
  }
}

export const styled = directive(StyleProperties);
