// From what the mailbox holds to what the application is told.
import type { Outgoing } from '../core/state.js';
import type { ClientEvents, EventName } from '../events.js';
import {
  ContentSchema,
  type Envelope,
  type Message,
  MessageSchema,
  Receipt_Kind,
} from '../gen/tidings/message/v1/message_pb.js';
import { formatMessageId, parseMessageId } from '../message-id.js';
import { create, decode } from '../wire.js';

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
      const message = event.value;
      const { id, from, to, group } = message;
      const own = id !== undefined && parseMessageId(id).stream === stream;
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
        atMs,
      };
      return { name: 'statusChanged', context: { ...NO_STATUS, ...context } };
    }
    case 'failure': {
      const { id, to, reason, atMs } = event.value;
      const context = { status: 'failed' as const, id: id ?? '', to, reason, atMs };
      return { name: 'statusChanged', context: { ...NO_STATUS, ...context } };
    }
    case 'groupEvent':
      return { name: 'groupEventReceived', context: { event: event.value, mailboxSeq } };
    case 'change':
      return { name: 'messageChanged', context: { change: event.value, mailboxSeq } };
    case 'conversationUpdate': {
      const { conversation } = event.value;
      return conversation && { name: 'conversationUpdated', context: { conversation } };
    }
    case 'activity':
      return { name: 'activityReceived', context: { activity: event.value } };
    case 'groupReceipt':
      return { name: 'groupReceiptReceived', context: { receipt: event.value } };
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
  const { to, group, receipts, atMs } = send;
  const content = decode(ContentSchema, send.content);
  return create(MessageSchema, { ...(id && { id }), from: user, to, group, receipts, sentAtMs: atMs, content });
}
