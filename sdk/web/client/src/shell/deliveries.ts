// From what the mailbox holds to what the application is told.
import { create, fromBinary } from '@bufbuild/protobuf';
import type { Outgoing } from '../core/state.js';
import type { ClientEvents, EventName } from '../events.js';
import { ContentSchema, type Envelope, MessageSchema, Receipt_Kind } from '../gen/tidings/message/v1/message_pb.js';
import { formatMessageId, parseMessageId } from '../message-id.js';
import type { Message } from '../model.js';
import { toPlain } from '../plain.js';

/** An event for the application. */
export type Told = { [N in EventName]: { name: N; context: ClientEvents[N] } }[EventName];

/** What an entry of the mailbox (`mailboxSeq` above 0), or a transient, tells; nothing of what this device knows, or of a kind that a newer server knows. */
export function told(
  envelope: Envelope | undefined,
  mailboxSeq: number,
  user: string,
  stream: bigint,
): Told | undefined {
  const event = envelope?.event;
  switch (event?.case) {
    case 'message': {
      const { id, from, to, group } = event.value;
      const own = id?.stream === stream;
      const message = toPlain(event.value) as Message;
      if (!group && from === user && to !== user && mailboxSeq > 0) {
        // The tabs of this device were told when it was sent.
        return own ? undefined : { name: 'messageSent', context: { message, key: undefined } };
      }
      return { name: 'messageReceived', context: { message, mailboxSeq, echo: own, transient: mailboxSeq === 0 } };
    }
    case 'receipt': {
      const { stream: of, upToSeq, kind, from, atMs } = event.value;
      if (kind === Receipt_Kind.KIND_UNSPECIFIED) return undefined;
      const context = {
        status: kind === Receipt_Kind.READ ? ('read' as const) : ('delivered' as const),
        id: formatMessageId({ stream: of, seq: upToSeq }),
        upTo: true,
        to: from,
        atMs: Number(atMs),
      };
      return { name: 'statusChanged', context: { ...NO_STATUS, ...context } };
    }
    case 'failure': {
      const { id, to, reason, atMs } = event.value;
      const context = { status: 'failed' as const, id: id ? formatMessageId(id) : '', to, reason, atMs: Number(atMs) };
      return { name: 'statusChanged', context: { ...NO_STATUS, ...context } };
    }
    case 'groupEvent':
      return { name: 'groupEventReceived', context: { event: toPlain(event.value), mailboxSeq } };
    case 'change':
      return { name: 'messageChanged', context: { change: toPlain(event.value), mailboxSeq } };
    case 'conversationUpdate': {
      const { conversation } = event.value;
      return conversation && { name: 'conversationUpdated', context: { conversation: toPlain(conversation) } };
    }
    case 'activity':
      return { name: 'activityReceived', context: { activity: toPlain(event.value) } };
    default:
      return undefined;
  }
}

export const NO_STATUS = {
  id: '',
  upTo: false,
  to: '',
  group: '',
  key: undefined,
  atMs: 0,
  reason: undefined,
  error: undefined,
};

/** A message that this device sends, as it is before it is accepted. */
export function messageOf(send: Outgoing, id: string, user: string): Message {
  const { to, group, receipts, content, atMs } = send;
  const message = create(MessageSchema, { from: user, to, group, receipts, sentAtMs: BigInt(atMs) });
  message.content = fromBinary(ContentSchema, content);
  if (id) message.id = parseMessageId(id);
  return toPlain(message) as Message;
}
