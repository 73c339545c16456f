//! The life of a group from its making to its end: what members may, who comes by invitation, who is removed; each is
//! told to the members, and whoever may not is refused with the reason.

use prost_types::Timestamp;
use tidings_node::Clock;
use tidings_proto::control::v1::{Group, Invite, Member, PermissionSet};
use tidings_proto::group::v1::{MemberChange, Permission, Role, operation};
use tidings_sdk::group_event::Kind;
use tidings_sdk::{Client, ErrorCode, Events, HistoryQuery, Outgoing};

use crate::answers::{done, sent};
use crate::group_view::{GroupView, What};
use crate::{Control, DEADLINE, within};

const CLUB: &str = "club";

/// A group that olga made, with paul and nina; all online.
pub struct Club {
    control: Control,
    olga: Person,
    paul: Person,
    nina: Person,
}

struct Person {
    name: &'static str,
    token: String,
    client: Client,
    view: GroupView,
}

fn happened(kind: Kind, users: &[&str]) -> What {
    What::Happened(kind, users.iter().map(ToString::to_string).collect())
}

fn at_ms(ms: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: ms / 1000, nanos: i32::try_from(ms % 1000).unwrap() * 1_000_000 })
}

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

fn club() -> Group {
    Group { id: CLUB.to_owned(), ..Group::default() }
}

impl Person {
    async fn new(
        control: &Control,
        name: &'static str,
        online: &mut impl AsyncFnMut(&str) -> (Client, Events),
    ) -> Self {
        let token = control.user(name).await;
        let (client, events) = online(&token).await;
        Self { name, token, client, view: GroupView::of(events) }
    }

    async fn comes_back(&mut self, online: &mut impl AsyncFnMut(&str) -> (Client, Events)) {
        let (client, events) = online(&self.token).await;
        (self.client, self.view) = (client, GroupView::of(events));
    }

    async fn says(&self, text: &str) -> Result<(), ErrorCode> {
        sent(&self.client, Outgoing::to_group(CLUB, text)).await.map(drop)
    }

    async fn joins(&self, code: &str) -> Result<(), ErrorCode> {
        done(self.client.join_group(code)).await.map(drop)
    }

    async fn removes(&self, user: &str) -> Result<(), ErrorCode> {
        done(self.client.remove_from_group(CLUB, [user.to_owned()])).await.map(drop)
    }

    async fn adds(&self, user: &str) -> Result<(), ErrorCode> {
        done(self.client.add_to_group(CLUB, [user.to_owned()])).await.map(drop)
    }

    /// The last place that this one was shown.
    fn last(&self) -> u64 {
        self.view.places().last().map_or(0, |place| place.seq)
    }

    /// Waits until this one is shown that it happened, behind a place.
    async fn sees(&self, behind: u64, what: &What) {
        let named = format!("{} sees {what:?} behind {behind}", self.name);
        self.view.until(&named, |place| place.seq > behind && place.what == *what).await;
    }

    /// The group is none of this one's any more.
    async fn is_out(&self) {
        assert_eq!(self.says("hello?").await, Err(ErrorCode::NotAMember), "{}", self.name);
        let history = done(self.client.group_history(CLUB, HistoryQuery::default())).await;
        assert_eq!(history.map(drop), Err(ErrorCode::NotAMember), "{}", self.name);
        assert_eq!(done(self.client.group(CLUB)).await.map(drop), Err(ErrorCode::NotFound), "{}", self.name);
        let groups = done(self.client.groups(0, "")).await.unwrap().groups;
        assert!(groups.is_empty(), "{}: {groups:?}", self.name);
    }
}

impl Club {
    /// `online` opens a client for a token.
    pub async fn open(control: &Control, mut online: impl AsyncFnMut(&str) -> (Client, Events)) -> Self {
        let olga = Person::new(control, "olga", &mut online).await;
        let paul = Person::new(control, "paul", &mut online).await;
        let nina = Person::new(control, "nina", &mut online).await;
        let club = Self { control: control.clone(), olga, paul, nina };
        club.begins().await;
        club
    }

    async fn begins(&self) {
        let before = self.last();
        let others = ["paul".to_owned(), "nina".to_owned()];
        done(self.olga.client.create_group(CLUB, "The club", others)).await.unwrap();
        self.all_see(before, |what| matches!(what, What::Happened(Kind::Created, _))).await;
    }

    fn members(&self) -> [&Person; 3] {
        [&self.olga, &self.paul, &self.nina]
    }

    /// The last place that anybody was shown.
    fn last(&self) -> u64 {
        self.members().map(Person::last).into_iter().max().unwrap()
    }

    async fn all_see(&self, behind: u64, is_it: impl Fn(&What) -> bool) {
        for person in self.members() {
            let what = format!("{} sees it behind {behind}", person.name);
            person.view.until(&what, |place| place.seq > behind && is_it(&place.what)).await;
        }
    }

    /// What is done with the group, and told to all as this.
    async fn all_are_told(&self, what: What, doing: impl Future<Output = ()>) {
        let before = self.last();
        doing.await;
        self.all_see(before, |seen| *seen == what).await;
    }

    async fn set(&self, group: Group, field: &str) {
        self.all_are_told(happened(Kind::Settings, &[]), self.control.set_group(group, &[field])).await;
    }

    /// A backend takes a permission from a member, and an owner gives it back with a role: all are told, and it holds.
    pub async fn members_are_changed(&self) {
        let deny = vec![Permission::Send.into()];
        let silent = Member { user: "paul".to_owned(), deny, ..Member::default() };
        let changed = || happened(Kind::MembersChanged, &["paul"]);
        assert_eq!(self.paul.says("one").await, Ok(()));
        self.all_are_told(changed(), self.control.set_member(CLUB, silent, &["deny"])).await;
        assert_eq!(self.paul.says("two").await, Err(ErrorCode::PermissionDenied));
        assert_eq!(self.paul.adds("olga").await, Err(ErrorCode::PermissionDenied));

        let (user, role, deny) = ("paul".to_owned(), Some(Role::Admin.into()), Some(0));
        let admin = || operation::Operation::Member(MemberChange { user: user.clone(), role, deny, allow: None });
        let refused = done(self.nina.client.act_on_group(CLUB, admin())).await;
        assert_eq!(refused.map(drop), Err(ErrorCode::PermissionDenied));
        let promoted = async { drop(done(self.olga.client.act_on_group(CLUB, admin())).await.unwrap()) };
        self.all_are_told(changed(), promoted).await;
        assert_eq!((self.paul.says("three").await, self.paul.adds("nina").await), (Ok(()), Ok(())));
        let state = done(self.paul.client.group(CLUB)).await.unwrap();
        assert_eq!((state.members[0].role(), state.members[0].deny), (Role::Admin, 0));
    }

    /// What the group lets plain members do holds for them, and neither for who was given more nor for who has a role.
    pub async fn members_may_what_the_group_says(&self) {
        let listening = PermissionSet { permissions: vec![Permission::Receive.into(), Permission::List.into()] };
        self.set(Group { member_permissions: Some(listening), ..club() }, "member_permissions").await;
        assert_eq!(self.nina.says("may I?").await, Err(ErrorCode::PermissionDenied));
        assert_eq!((self.paul.says("an admin may").await, self.olga.says("and an owner").await), (Ok(()), Ok(())));
        self.nina.view.until_said("and an owner").await;
        let allow = vec![Permission::Send.into()];
        let speaking = Member { user: "nina".to_owned(), allow, ..Member::default() };
        let changed = happened(Kind::MembersChanged, &["nina"]);
        self.all_are_told(changed, self.control.set_member(CLUB, speaking, &["allow"])).await;
        assert_eq!(self.nina.says("I may").await, Ok(()));
        let plain = Member { user: "nina".to_owned(), ..Member::default() };
        let changed = happened(Kind::MembersChanged, &["nina"]);
        self.all_are_told(changed, self.control.set_member(CLUB, plain, &["allow"])).await;
        assert_eq!(self.nina.says("may I?").await, Err(ErrorCode::PermissionDenied));
        // Not said any more: it is what the kind says.
        self.set(club(), "member_permissions").await;
        assert_eq!(self.nina.says("all may").await, Ok(()));
    }

    /// Who was away is told of new settings, in their place among what was said.
    pub async fn settings_reach_who_was_away(&mut self, online: &mut impl AsyncFnMut(&str) -> (Client, Events)) {
        assert_eq!(self.olga.says("all are there").await, Ok(()));
        for person in self.members() {
            person.view.until_said("all are there").await;
        }
        self.nina.client.clone().close().await;
        let before = self.olga.last();
        assert_eq!(self.olga.says("before the change").await, Ok(()));
        let named = Group { display_name: "The new club".to_owned(), ..club() };
        self.control.set_group(named, &["display_name"]).await;
        self.olga.sees(before, &happened(Kind::Settings, &[])).await;
        assert_eq!(self.olga.says("behind the change").await, Ok(()));
        self.olga.view.until_said("behind the change").await;
        self.nina.comes_back(online).await;
        self.nina.view.until_said("behind the change").await;
        let mut expected = self.olga.view.places();
        expected.retain(|place| place.seq > before);
        let mut seen = self.nina.view.places();
        seen.retain(|place| place.seq > before);
        assert_eq!(seen, expected);
        let state = done(self.nina.client.group(CLUB)).await.unwrap();
        assert_eq!(state.group.unwrap().display_name, "The new club");
    }

    /// Invitations say how often, until when, and with which permissions one comes by them.
    pub async fn guests_come_by_invitation(&mut self, online: &mut impl AsyncFnMut(&str) -> (Client, Events)) {
        let gary = Person::new(&self.control, "gary", online).await;
        let gina = Person::new(&self.control, "gina", online).await;
        let not_found = Err(ErrorCode::NotFound);
        assert_eq!(gary.joins("no-such-code").await, not_found);
        let invite = |code: &str| Invite { group: CLUB.to_owned(), code: code.to_owned(), ..Invite::default() };

        let deny = vec![Permission::Send.into()];
        let allow = vec![Permission::Add.into()];
        self.control.invite(Invite { allow, deny, max_uses: 1, ..invite("for-one") }).await;
        let joined = async { assert_eq!(gary.joins("for-one").await, Ok(())) };
        self.all_are_told(happened(Kind::Joined, &["gary"]), joined).await;
        assert_eq!(gina.joins("for-one").await, not_found, "one came by it");
        assert_eq!(gary.joins("for-one").await, Ok(()), "who is in is in");
        assert_eq!(gary.says("may I?").await, Err(ErrorCode::PermissionDenied));
        assert_eq!(self.olga.says("welcome").await, Ok(()));
        gary.view.until_said("welcome").await;
        assert_eq!(gary.adds("gina").await, Ok(()), "who was given it by the invitation");
        gina.view.until("gina is in", |place| place.what == happened(Kind::Joined, &["gina"])).await;
        assert_eq!(gina.says("thanks").await, Ok(()));
        done(gina.client.leave_group(CLUB)).await.unwrap();
        gina.view.until("gina left", |place| place.what == happened(Kind::Left, &["gina"])).await;

        let ends_ms = now_ms() + 2_000;
        self.control.invite(Invite { expires_at: at_ms(ends_ms), ..invite("for-now") }).await;
        within(DEADLINE, "the invitation ends", async {
            loop {
                let asked_ms = now_ms();
                match gina.joins("for-now").await {
                    Ok(()) => assert!(asked_ms <= ends_ms, "it is over"),
                    Err(code) => {
                        assert_eq!(code, ErrorCode::NotFound);
                        assert!(now_ms() >= ends_ms, "it is not over");
                        return;
                    }
                }
                done(gina.client.leave_group(CLUB)).await.unwrap();
            }
        })
        .await;
        self.control.invite(Invite { max_uses: 1, expires_at: at_ms(now_ms() + 3_600_000), ..invite("good") }).await;
        assert_eq!(gina.joins("good").await, Ok(()), "before its time and its use");
        done(gina.client.leave_group(CLUB)).await.unwrap();
        done(gary.client.leave_group(CLUB)).await.unwrap();
        self.olga.sees(0, &happened(Kind::Left, &["gary"])).await;
        gary.is_out().await;
    }

    /// Members remove those whose role is below their own; who was removed is told so, last of all, and is out.
    pub async fn members_are_removed(&self) {
        assert_eq!(self.nina.removes("paul").await, Err(ErrorCode::PermissionDenied), "a plain member");
        assert_eq!(self.paul.removes("olga").await, Err(ErrorCode::PermissionDenied), "an owner");
        assert_eq!(self.paul.removes("paul").await, Err(ErrorCode::InvalidArgument), "who goes leaves");
        assert_eq!(self.paul.removes("nobody").await, Ok(()), "who is none is passed over");
        let removed = async { assert_eq!(self.paul.removes("nina").await, Ok(())) };
        let gone = happened(Kind::Removed, &["nina"]);
        self.all_are_told(gone.clone(), removed).await;
        self.nina.is_out().await;
        assert_eq!(self.nina.removes("paul").await, Err(ErrorCode::NotAMember));
        assert_eq!(self.olga.says("without nina").await, Ok(()));
        self.paul.view.until_said("without nina").await;
        assert_eq!(self.nina.view.places().last().unwrap().what, gone, "nothing comes after it");
        let back = async { assert_eq!(self.paul.adds("nina").await, Ok(())) };
        self.all_are_told(happened(Kind::Joined, &["nina"]), back).await;
    }

    /// A group whose time is over is nobody's: its members are told, and nobody says anything in it, nor comes by its
    /// invitation.
    pub async fn comes_to_its_time(&self) {
        self.control.invite(Invite { group: CLUB.to_owned(), code: "late".to_owned(), ..Invite::default() }).await;
        let ends_ms = now_ms() + 5_000;
        let before = self.last();
        self.set(Group { expires_at: at_ms(ends_ms), ..club() }, "expires_at").await;
        assert_eq!(self.nina.says("as long as it is there").await, Ok(()));
        self.all_see(before, |what| matches!(what, What::Happened(Kind::Deleted, _))).await;
        assert!(now_ms() >= ends_ms, "it is told before its time");
        for person in self.members() {
            person.is_out().await;
        }
        assert_eq!(self.nina.joins("late").await, Err(ErrorCode::NotFound));
        self.begins_anew().await;
    }

    /// What a backend deletes is gone for members who are online, and for who is away when it is back.
    pub async fn is_deleted(&mut self, online: &mut impl AsyncFnMut(&str) -> (Client, Events)) {
        assert_eq!(self.nina.says("the last word").await, Ok(()));
        self.nina.view.until_said("the last word").await;
        self.nina.client.clone().close().await;
        let before = self.last();
        let refused = done(self.paul.client.act_on_group(CLUB, operation::Operation::Delete(Default::default()))).await;
        assert_eq!(refused.map(drop), Err(ErrorCode::PermissionDenied), "who is no owner");
        self.control.delete_group(CLUB).await;
        let is_deleted = |what: &What| matches!(what, What::Happened(Kind::Deleted, _));
        for person in [&self.olga, &self.paul] {
            person.view.until("it is deleted", |place| place.seq > before && is_deleted(&place.what)).await;
        }
        self.nina.comes_back(online).await;
        for person in self.members() {
            person.view.until("it is deleted", |place| place.seq > before && is_deleted(&place.what)).await;
            person.is_out().await;
        }
        self.begins_anew().await;
    }

    /// Once it is swept, its name is free; the group that is made then knows nothing of the earlier one.
    async fn begins_anew(&self) {
        let before = self.last();
        let others = ["paul".to_owned(), "nina".to_owned()];
        within(DEADLINE, "the name is free", async {
            while let Err(code) = done(self.olga.client.create_group(CLUB, "Anew", others.clone())).await {
                assert_eq!(code, ErrorCode::FailedPrecondition);
            }
        })
        .await;
        self.all_see(before, |what| matches!(what, What::Happened(Kind::Created, _))).await;
        assert_eq!(self.nina.says("anew").await, Ok(()));
        let page = done(self.nina.client.group_history(CLUB, HistoryQuery::default())).await.unwrap();
        let texts: Vec<_> = page.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect();
        assert_eq!(texts, ["anew"]);
    }
}
