/**
 * Client of Tidings for browsers: see docs/web/client.md.
 * @packageDocumentation
 */
export { Client, type SendInit, type SendOptions, type Target } from './client.js';
export type { ConversationChange, Conversations } from './conversations.js';
export { codeName, type Failure, type FailureKind, SignedOutError, TidingsError } from './errors.js';
export type {
  ClientEvents,
  ConnectionState,
  EventName,
  Handler,
  MessageChanged,
  MessageReceived,
  MessageSent,
  StateChanged,
  StatusChanged,
} from './events.js';
export type { DownloadOptions, Files, Link } from './files/files.js';
export type { GroupSettings, Groups, ListQuery, MemberChange } from './groups.js';
export type { History, HistoryQuery, SearchQuery } from './history.js';
export { isUpTo } from './message-id.js';
export * from './model.js';
export type { ClientOptions, Token, TokenContext, UploadHandler, UploadOptions } from './options.js';
export type { CallOptions } from './requests.js';
export type { Sending } from './sending.js';
export type { Pending } from './shell/engine.js';
export type { Environment, SocketLike } from './shell/environment.js';
