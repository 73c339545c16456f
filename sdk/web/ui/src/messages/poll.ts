import { html, nothing, type TemplateResult } from 'lit';
import { icons } from '../icons.js';
import { say } from '../locale/locale.js';
import type { MessageView, PollView } from '../model.js';
import type { BubbleContext } from './bubble.js';

/** Votes by option, as the protocol counts them: of a user's votes the first `choices`, and of each option one. */
export function countVotes(message: MessageView, poll: PollView): Map<string, string[]> {
  const votes = new Map<string, string[]>(poll.options.map((option) => [option.id, []]));
  const spent = new Map<string, number>();
  for (const reaction of message.reactions) {
    const voters = votes.get(reaction.emoji);
    const used = spent.get(reaction.from) ?? 0;
    if (!voters || voters.includes(reaction.from) || used >= Math.max(1, poll.choices)) continue;
    voters.push(reaction.from);
    spent.set(reaction.from, used + 1);
  }
  return votes;
}

export function pollOf(message: MessageView, poll: PollView, context: BubbleContext): TemplateResult {
  const votes = countVotes(message, poll);
  const all = [...votes.values()].reduce((sum, voters) => sum + voters.length, 0);
  const closed = poll.closesAt > 0 && poll.closesAt <= Date.now();
  return html`<fieldset class="poll" part="poll">
    <legend dir="auto">${poll.question}</legend>
    ${poll.options.map((option) => {
      const voters = votes.get(option.id) ?? [];
      const mine = voters.includes(context.me);
      return html`<button class="option" aria-pressed=${mine} ?disabled=${closed} @click=${() => vote(message, poll, votes, option.id, mine, context)}>
        <span class="dot">${mine ? icons.check(12) : nothing}</span><span dir="auto">${option.text}</span><small>${voters.length}</small>
        <meter min="0" max=${Math.max(1, all)} .value=${voters.length} aria-hidden="true"></meter>
      </button>`;
    })}
    <small>${closed ? say('view.pollClosed') : say('view.pollVotes', { count: all })}</small>
  </fieldset>`;
}

/** With one choice, choosing another takes the first one back. */
function vote(
  message: MessageView,
  poll: PollView,
  votes: Map<string, string[]>,
  option: string,
  mine: boolean,
  context: BubbleContext,
): void {
  if (!mine && Math.max(1, poll.choices) === 1) {
    for (const [other, voters] of votes) {
      if (voters.includes(context.me)) context.react(message, other, true);
    }
  }
  context.react(message, option, mine);
}
