import type { Operation } from './gen/tidings/group/v1/group_pb.js';
import { nextOf } from './history.js';
import type { GroupKind, GroupReceipts, GroupState, Init, Member, Page, Role } from './model.js';
import { type Asked, ask, type CallOptions } from './requests.js';
import type { Hub } from './shell/hub.js';

/** What its maker says about a group. */
export interface GroupSettings {
  displayName?: string;
  /** At most 4 KiB in all. */
  attributes?: Record<string, string>;
  kind?: GroupKind;
  /** While it is, nobody sends to it. */
  paused?: boolean;
  /** Unix ms; 0: does not expire. */
  expiresAtMs?: number;
  /** What role MEMBER may do, bit `1 << Permission`; null: what the kind says. */
  memberPermissions?: number | null;
}

export interface MemberChange {
  role?: Role;
  /** Permissions beyond the role's, and those taken from it, bit `1 << Permission`. */
  allow?: number;
  deny?: number;
}

export interface ListQuery extends CallOptions {
  /** `next` of the page before. */
  page?: string | undefined;
  /** At most 1,000; default 100. */
  limit?: number;
}

/** What the user does about groups, as far as its role and permissions there let it (`PERMISSION_DENIED` otherwise). Doing something again changes nothing. */
export class Groups {
  constructor(private readonly hub: Hub) {}

  /** Creates a group of which this user is the owner, with these plain members (at most 1,000). */
  create(
    group: string,
    settings: GroupSettings = {},
    members: readonly string[] = [],
    options?: CallOptions,
  ): Promise<GroupState> {
    const { memberPermissions, ...others } = settings;
    const made = { ...others, memberPermissions: memberPermissions ?? undefined };
    const value = { group: made, members: plainMembers(members) };
    return this.#act(group, { case: 'create', value }, options);
  }

  /** A group that this user is in, and this user as its member. */
  get(group: string, options?: CallOptions): Promise<GroupState> {
    return ask(this.hub, { case: 'getGroup', value: { group } }, 'group', options);
  }

  /** The groups that this user is in. */
  async list({ page = '', limit = 0, signal }: ListQuery = {}): Promise<Page<GroupState, string>> {
    const value = { pageToken: page, pageSize: limit };
    const listed = await ask(this.hub, { case: 'listMyGroups', value }, 'myGroups', { signal });
    return { items: listed.groups, next: nextOf(listed.nextPageToken) };
  }

  /** Takes the permission LIST. */
  async members(group: string, { page = '', limit = 0, signal }: ListQuery = {}): Promise<Page<Member, string>> {
    const value = { group, pageToken: page, pageSize: limit };
    const listed = await ask(this.hub, { case: 'listMembers', value }, 'members', { signal });
    return { items: listed.members, next: nextOf(listed.nextPageToken) };
  }

  /** Joins the group of an invitation's code. */
  join(code: string, options?: CallOptions): Promise<GroupState> {
    return this.#act('', { case: 'join', value: { code } }, options);
  }

  /** The event that says so is the last thing that comes from it. */
  leave(group: string, options?: CallOptions): Promise<GroupState> {
    return this.#act(group, { case: 'leave', value: {} }, options);
  }

  /** At most 1,000 at a time. */
  add(group: string, users: readonly string[], options?: CallOptions): Promise<GroupState> {
    return this.#act(group, { case: 'add', value: { members: plainMembers(users) } }, options);
  }

  /** At most 1,000 at a time. */
  remove(group: string, users: readonly string[], options?: CallOptions): Promise<GroupState> {
    return this.#act(group, { case: 'remove', value: { users } }, options);
  }

  changeMember(group: string, user: string, change: MemberChange, options?: CallOptions): Promise<GroupState> {
    return this.#act(group, { case: 'member', value: { ...change, user } }, options);
  }

  changeSettings(group: string, settings: GroupSettings, options?: CallOptions): Promise<GroupState> {
    const { attributes, memberPermissions, ...others } = settings;
    const value = {
      ...others,
      ...(attributes && { attributes: { entries: attributes } }),
      ...(memberPermissions !== undefined && { memberPermissions: { bits: memberPermissions ?? undefined } }),
    };
    return this.#act(group, { case: 'settings', value }, options);
  }

  /** Takes the role OWNER. */
  delete(group: string, options?: CallOptions): Promise<GroupState> {
    return this.#act(group, { case: 'delete', value: {} }, options);
  }

  /** How far a message has come that this user sent to a group: how many have it and read it, and of at most 100 members who. */
  receipts(group: string, groupSeq: number, options?: CallOptions): Promise<GroupReceipts> {
    return ask(this.hub, { case: 'getGroupReceipts', value: { group, groupSeq } }, 'groupReceipts', options);
  }

  /**
   * Has `groupReceiptReceived` told of a group: how far this user's messages there have come, soon how it stands, and then as it
   * changes, at most once a second. It is kept up until {@link unwatchReceipts}, the end of the membership, or that of the client. At most 64 groups of all
   * tabs: one more takes the place of the one that was asked for longest ago.
   */
  watchReceipts(group: string): Promise<void> {
    return this.hub.call({ op: 'receipts', group, off: false });
  }

  unwatchReceipts(group: string): Promise<void> {
    return this.hub.call({ op: 'receipts', group, off: true });
  }

  #act(group: string, operation: Init<Operation['operation']>, options?: CallOptions): Promise<GroupState> {
    const asked = { case: 'actOnGroup', value: { group, operation: { operation } } } as Asked;
    return ask(this.hub, asked, 'group', options);
  }
}

function plainMembers(users: readonly string[]): { user: string }[] {
  return users.map((user) => ({ user }));
}
