//! Brings the members of a shard's group into line with the shard map, one safe step after the other. The shard's
//! leader does it; a step that fails, or that a new leader finds half done, is simply taken again.

use std::collections::BTreeSet;
use std::time::Duration;

use tidings_consensus::{Error, Group, GroupStatus, NodeId};
use tidings_node::Shutdown;
use tidings_proto::cluster::v1::ShardMap;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::machine::ShardMachine;

/// How often the members are compared with the map.
const INTERVAL: Duration = Duration::from_millis(300);
/// A step that takes longer is given up, and looked at anew.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// A member that lacks no more entries than this has nearly caught up.
const NEARLY: u64 = 200;
/// A member that was not heard of for so long is away.
const SILENCE: Duration = Duration::from_secs(1);
/// After a change of leader it stays for so long, if it can: each change is a pause for the shard's users.
const STEADY: Duration = Duration::from_secs(3);

/// What the leader knows when it decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Situation {
    pub me: NodeId,
    /// Where the replicas shall be, the preferred leader first.
    pub wanted: Vec<NodeId>,
    pub voters: BTreeSet<NodeId>,
    pub learners: BTreeSet<NodeId>,
    /// A change is under way.
    pub is_changing: bool,
    /// Members that were heard of lately and lack next to nothing.
    pub up_to_date: BTreeSet<NodeId>,
    /// Members that have lost their data and ask to be let out.
    pub excluded: BTreeSet<NodeId>,
    /// The leader has led long enough to hand over.
    pub is_steady: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node begins to receive the log.
    Begin(NodeId),
    /// These vote from now on, through a joint quorum with those who did.
    Voters(BTreeSet<NodeId>),
    /// Nodes that do not vote leave.
    Drop(BTreeSet<NodeId>),
    /// Another voter leads.
    HandOver(NodeId),
}

/// The step to take now, if any.
pub fn next(situation: &Situation) -> Option<Step> {
    let Situation { me, wanted, voters, learners, up_to_date, excluded, .. } = situation;
    if situation.is_changing {
        return None;
    }
    // Whoever lost its data must not be counted on (promise 1); where there is nobody else, nothing can be mended.
    if let Some(lost) = voters.intersection(excluded).find(|lost| *lost != me) {
        return (voters.len() > 1).then(|| Step::Voters(voters.iter().copied().filter(|id| id != lost).collect()));
    }
    let stray: BTreeSet<NodeId> =
        learners.iter().copied().filter(|id| !wanted.contains(id) || excluded.contains(id)).collect();
    if !stray.is_empty() {
        return Some(Step::Drop(stray));
    }
    let ready = |id: &&NodeId| voters.contains(*id) && up_to_date.contains(*id);
    if !wanted.contains(me)
        && let Some(to) = wanted.iter().find(ready)
    {
        return Some(Step::HandOver(*to));
    }
    let surplus = voters.iter().copied().find(|id| !wanted.contains(id) && id != me);
    let missing = wanted.iter().copied().find(|id| !voters.contains(id) && !excluded.contains(id));
    match (missing, surplus) {
        (Some(new), _) if !learners.contains(&new) => Some(Step::Begin(new)),
        (Some(new), surplus) if up_to_date.contains(&new) => {
            // The old one goes in the same change as the new one comes, so that the quorum never grows for long.
            let goes = surplus.filter(|_| voters.len() >= wanted.len());
            let stay = voters.iter().copied().filter(|id| Some(*id) != goes);
            Some(Step::Voters(stay.chain([new]).collect()))
        }
        (Some(_), _) => None,
        (None, Some(surplus)) => Some(Step::Voters(voters.iter().copied().filter(|id| *id != surplus).collect())),
        (None, None) => {
            let preferred = wanted.first().filter(|first| *first != me).filter(ready);
            preferred.filter(|_| situation.is_steady).map(|to| Step::HandOver(*to))
        }
    }
}

/// Takes the steps of one shard while this replica leads it.
pub struct Reconciler {
    pub shard: u32,
    pub node: NodeId,
    pub group: Group<ShardMachine>,
    pub map: watch::Receiver<ShardMap>,
    pub excluded: watch::Receiver<BTreeSet<NodeId>>,
}

impl Reconciler {
    /// Runs until the shard closes.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut leadership = self.group.leadership();
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                led = leadership.wait_for(|leadership| leadership.is_leader) => if led.is_err() { return },
            }
            let since = Instant::now();
            tokio::select! {
                () = shutdown.requested() => return,
                _ = leadership.wait_for(|leadership| !leadership.is_leader) => {}
                () = self.work(since) => {}
            }
        }
    }

    async fn work(&mut self, mut since: Instant) {
        loop {
            if let Some(step) = next(&self.situation(since.elapsed() >= STEADY)) {
                tracing::info!(shard = self.shard, ?step, "reconciling");
                if matches!(step, Step::HandOver(_)) {
                    // Where it is not taken over, it is not asked for again at once.
                    since = Instant::now();
                }
                match tokio::time::timeout(STEP_TIMEOUT, self.take(step)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(shard = self.shard, %error, "a step was not taken"),
                    Err(_) => tracing::warn!(shard = self.shard, "a step takes long"),
                }
            }
            tokio::select! {
                _ = self.map.changed() => {}
                changed = self.excluded.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    fn situation(&self, is_steady: bool) -> Situation {
        let status = self.group.status();
        let map = self.map.borrow();
        let placement = map.shards.iter().find(|placement| placement.shard == self.shard);
        let (voters, learners): (Vec<_>, Vec<_>) = status.members.iter().partition(|(_, member)| member.is_voter);
        let ids = |members: Vec<(&NodeId, _)>| members.into_iter().map(|(id, _)| *id).collect();
        Situation {
            me: self.node,
            wanted: placement.map(|placement| placement.replicas.clone()).unwrap_or_default(),
            voters: ids(voters),
            learners: ids(learners),
            // Without a placement there is nothing to go by.
            is_changing: status.is_changing || placement.is_none_or(|placement| placement.replicas.is_empty()),
            up_to_date: up_to_date(&status),
            excluded: self.excluded.borrow().clone(),
            is_steady,
        }
    }

    async fn take(&self, step: Step) -> Result<(), Error> {
        match step {
            Step::Begin(node) => {
                let address = {
                    let map = self.map.borrow();
                    map.nodes.iter().find(|known| known.id == node).map(|known| known.address.clone())
                };
                let address = address.ok_or_else(|| Error::Membership(format!("node {node} has no address")))?;
                self.group.begin_learner(node, address).await
            }
            Step::Voters(voters) => self.group.change_members(voters).await,
            Step::Drop(nodes) => self.group.drop_learners(nodes).await,
            Step::HandOver(to) => self.group.transfer_leader(to).await,
        }
    }
}

fn up_to_date(status: &GroupStatus) -> BTreeSet<NodeId> {
    let last = status.last_log.unwrap_or(0);
    let near = status.replication.iter().filter(|(_, matched)| matched.is_some_and(|matched| matched + NEARLY >= last));
    let heard = |id: &NodeId| status.heard.get(id).is_some_and(|silence| *silence <= SILENCE);
    near.map(|(id, _)| *id).filter(heard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    fn situation(wanted: &[NodeId], voters: &[NodeId]) -> Situation {
        Situation {
            me: 1,
            wanted: wanted.to_vec(),
            voters: voters.iter().copied().collect(),
            up_to_date: (1..=9).collect(),
            is_steady: true,
            ..Situation::default()
        }
    }

    fn voters(ids: &[NodeId]) -> Option<Step> {
        Some(Step::Voters(ids.iter().copied().collect()))
    }

    #[test]
    fn a_replica_moves_by_learning_first_and_by_one_joint_change() {
        let now = situation(&[1, 2, 4], &[1, 2, 3]);
        assert_eq!(next(&now), Some(Step::Begin(4)));
        let learns = Situation { learners: BTreeSet::from([4]), up_to_date: BTreeSet::from([2, 3]), ..now.clone() };
        assert_eq!(next(&learns), None, "it has not caught up");
        assert_eq!(next(&Situation { learners: BTreeSet::from([4]), ..now.clone() }), voters(&[1, 2, 4]));
        assert_eq!(next(&Situation { is_changing: true, ..now }), None);
        assert_eq!(next(&situation(&[1, 2, 4], &[1, 2, 4])), None);
    }

    #[test]
    fn a_leader_that_is_to_go_hands_over_first_and_never_votes_itself_out() {
        assert_eq!(next(&situation(&[4, 2, 3], &[1, 2, 3])), Some(Step::HandOver(2)));
        let alone = situation(&[4], &[1]);
        assert_eq!(next(&alone), Some(Step::Begin(4)));
        let learns = Situation { learners: BTreeSet::from([4]), ..alone };
        assert_eq!(next(&learns), voters(&[1, 4]));
        assert_eq!(next(&situation(&[4], &[1, 4])), Some(Step::HandOver(4)));
        let others_away = Situation { up_to_date: BTreeSet::new(), ..situation(&[4, 2, 3], &[1, 2, 3]) };
        assert_eq!(next(&others_away), Some(Step::Begin(4)));
    }

    #[test]
    fn the_preferred_leader_gets_its_shard_when_it_is_up_to_date_and_things_are_steady() {
        let now = situation(&[2, 1, 3], &[1, 2, 3]);
        assert_eq!(next(&now), Some(Step::HandOver(2)));
        assert_eq!(next(&Situation { is_steady: false, ..now.clone() }), None);
        assert_eq!(next(&Situation { up_to_date: BTreeSet::from([3]), ..now }), None);
    }

    #[test]
    fn whoever_lost_its_data_leaves_and_learns_anew() {
        let lost = Situation { excluded: BTreeSet::from([3]), ..situation(&[1, 2, 3], &[1, 2, 3]) };
        assert_eq!(next(&lost), voters(&[1, 2]));
        let out = Situation { voters: BTreeSet::from([1, 2]), ..lost.clone() };
        assert_eq!(next(&out), None, "not before it says that it begins anew");
        assert_eq!(next(&Situation { learners: BTreeSet::from([3]), ..out }), Some(Step::Drop(BTreeSet::from([3]))));
        let alone = Situation { voters: BTreeSet::from([1]), excluded: BTreeSet::from([1]), ..lost };
        assert_eq!(next(&Situation { wanted: vec![1], ..alone }), None, "there is nobody to learn from");
    }

    #[test]
    fn a_learner_that_nobody_wants_any_more_leaves() {
        let now = Situation { learners: BTreeSet::from([5]), ..situation(&[1, 2, 4], &[1, 2, 3]) };
        assert_eq!(next(&now), Some(Step::Drop(BTreeSet::from([5]))));
    }

    proptest! {
        /// Whatever the members are, the steps lead to the wanted ones; each keeps a majority of the one before.
        #[test]
        fn the_steps_end_at_the_map(
            wanted in btree_set(1_u64..7, 1..4), voters in btree_set(1_u64..7, 1..4), learners in btree_set(1_u64..7, 0..3),
        ) {
            let mut now = situation(&wanted.iter().copied().collect::<Vec<_>>(), &[]);
            now.me = *voters.first().unwrap();
            now.learners = learners.difference(&voters).copied().collect();
            now.voters = voters;
            for _ in 0..40 {
                match next(&now) {
                    None => break,
                    Some(Step::Begin(node)) => prop_assert!(now.learners.insert(node)),
                    Some(Step::Drop(nodes)) => now.learners.retain(|id| !nodes.contains(id)),
                    Some(Step::HandOver(to)) => {
                        prop_assert!(now.voters.contains(&to));
                        now.me = to;
                    }
                    Some(Step::Voters(voters)) => {
                        prop_assert!(voters.contains(&now.me), "the leader stays");
                        prop_assert!(voters.difference(&now.voters).count() <= 1);
                        prop_assert!(now.voters.difference(&voters).count() <= 1);
                        now.learners.retain(|id| !voters.contains(id));
                        now.voters = voters;
                    }
                }
            }
            prop_assert_eq!(&now.voters, &wanted);
            prop_assert_eq!(now.me, now.wanted[0]);
        }
    }
}
