//! Who probably leads each shard: what the brokers announce, what they answer, and otherwise a guess. A wrong guess
//! costs a redirect and nothing else: a node that does not lead a shard accepts nothing for it (promise 5).

use parking_lot::RwLock;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Leader {
    node: u64,
    /// Of the latest announcement; 0: only guessed so far.
    term: u64,
}

/// Leaders by shard.
#[derive(Debug, Default)]
pub(crate) struct Leaders(RwLock<Vec<Leader>>);

impl Leaders {
    /// There are so many shards; of each, who is to be asked first as long as nothing better is known.
    pub fn set_shards(&self, guesses: impl Iterator<Item = u64>) {
        let mut leaders = self.0.write();
        let known = std::mem::take(&mut *leaders);
        leaders.extend(guesses.enumerate().map(|(shard, guess)| {
            let known = known.get(shard).copied().unwrap_or_default();
            if known.node == 0 { Leader { node: guess, ..known } } else { known }
        }));
    }

    /// Whom to ask; 0: nobody is known.
    pub fn get(&self, shard: u32) -> u64 {
        self.0.read().get(shard as usize).map_or(0, |leader| leader.node)
    }

    /// A broker says that it leads the shard, in this term. Answers whether that is news.
    pub fn announced(&self, shard: u32, node: u64, term: u64) -> bool {
        let mut leaders = self.0.write();
        let Some(leader) = leaders.get_mut(shard as usize).filter(|leader| leader.term < term) else { return false };
        let is_news = leader.node != node;
        *leader = Leader { node, term };
        is_news
    }

    /// `from` does not lead the shard; `to` is asked next, unless somebody has learnt better in the meantime.
    pub fn redirected(&self, shard: u32, from: u64, to: u64) {
        let mut leaders = self.0.write();
        if let Some(leader) = leaders.get_mut(shard as usize).filter(|leader| leader.node == from) {
            leader.node = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_of_a_later_term_counts_and_others_do_not() {
        let leaders = Leaders::default();
        assert!(!leaders.announced(0, 7, 1), "no such shard yet");
        leaders.set_shards([1, 2].into_iter());
        assert!(leaders.announced(0, 3, 5));
        assert!(!leaders.announced(0, 1, 4), "a former leader");
        assert!(!leaders.announced(0, 3, 6), "the same one again");
        leaders.redirected(0, 1, 2);
        assert_eq!(leaders.get(0), 3, "somebody had learnt better");
        leaders.redirected(0, 3, 2);
        assert_eq!(leaders.get(0), 2);
        leaders.set_shards([9, 9].into_iter());
        assert_eq!((leaders.get(0), leaders.get(1), leaders.get(2)), (2, 2, 0));
    }
}
