import { GroupKind, Role } from '@tidings/client';
import { type ConversationKey, keyOf, type MessageView } from '../model.js';
import type { GroupAction } from '../panels/group-panel.js';
import type { Context } from './context.js';
import type { Loading } from './loading.js';

const ROLES = { member: Role.MEMBER, admin: Role.ADMIN, owner: Role.OWNER };

/** What a message to a group needs to be asked about: who has it, who read it. */
export interface ReceiptsView {
  readonly members: number;
  readonly delivered: readonly string[];
  readonly read: readonly string[];
  readonly deliveredCount: number;
  readonly readCount: number;
}

/** What a user does to groups, and how far the own messages there have come. */
export class GroupsPart {
  readonly #nextPage = new Map<string, string | undefined>();

  constructor(
    private readonly context: Context,
    private readonly loading: Loading,
  ) {}

  /** Makes a group with an id of its own, and answers its conversation. */
  async create(name: string, users: readonly string[], announcement = false): Promise<ConversationKey> {
    const { client, happened, names } = this.context;
    const group = `${
      name
        .toLowerCase()
        .normalize('NFKD')
        .replace(/[^\p{L}\p{N}]+/gu, '-')
        .replace(/^-|-$/g, '')
        .slice(0, 24) || 'group'
    }-${crypto.randomUUID().slice(0, 8)}`;
    const state = await client.groups.create(
      group,
      { displayName: name, kind: announcement ? GroupKind.ANNOUNCEMENT : GroupKind.NORMAL },
      users,
    );
    happened({ type: 'group', state, names });
    await this.loading.group(group);
    return keyOf({ group });
  }

  async join(code: string): Promise<ConversationKey> {
    const { client } = this.context;
    const state = await client.groups.join(code.trim());
    const group = state.group?.id ?? '';
    await this.loading.group(group);
    await this.loading.groupNewest(group, 0);
    return keyOf({ group });
  }

  async act(group: string, action: GroupAction): Promise<void> {
    const { groups } = this.context.client;
    switch (action.act) {
      case 'add':
        await groups.add(group, action.users);
        break;
      case 'remove':
        await groups.remove(group, [action.user]);
        break;
      case 'role':
        await groups.changeMember(group, action.user, { role: ROLES[action.role] });
        break;
      case 'rename':
        await groups.changeSettings(group, { displayName: action.name });
        break;
      case 'pause':
        await groups.changeSettings(group, { paused: action.paused });
        break;
      case 'leave':
        await groups.leave(group);
        this.context.happened({ type: 'groupGone', group });
        return;
      case 'delete':
        await groups.delete(group);
        this.context.happened({ type: 'groupGone', group });
        return;
      case 'more-members':
        this.#nextPage.set(group, await this.loading.members(group, this.#nextPage.get(group)));
        return;
    }
    await this.refresh(group);
  }

  /** The group and the first page of its members, as they are now. */
  async refresh(group: string): Promise<void> {
    await this.loading.group(group);
    if (this.context.state().groups.get(group)?.may.list) this.#nextPage.set(group, await this.loading.members(group));
  }

  hasMoreMembers(group: string): boolean {
    return this.#nextPage.get(group) !== undefined;
  }

  async receipts(group: string, message: MessageView): Promise<ReceiptsView | undefined> {
    if (message.place === undefined) return undefined;
    const told = await this.context.client.groups.receipts(group, message.place);
    return {
      members: told.members,
      delivered: told.deliveredTo,
      read: told.readBy,
      deliveredCount: told.delivered,
      readCount: told.read,
    };
  }
}
