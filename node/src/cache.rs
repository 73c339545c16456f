//! A bounded map that forgets roughly what was used least recently: two generations, of which the older is dropped when
//! the younger is full.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// At most `capacity` entries; an entry that was used within the last `capacity / 2` insertions is there.
#[derive(Debug)]
pub struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation: usize,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: (capacity / 2).max(1) }
    }

    /// The value, which counts as used.
    pub fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Puts the value in, perhaps in the place of others.
    pub fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Keeps what `keep` says; looks at every entry.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.young.retain(|key, value| keep(key, value));
        self.old.retain(|key, value| keep(key, value));
    }

    pub fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::new(10);
        for number in 0..1000 {
            cache.insert(number, ());
            assert!(cache.get(&0).is_some(), "after {number}");
            assert!(cache.len() <= 10);
        }
        assert!(cache.get(&500).is_none());
    }

    #[test]
    fn a_newer_value_replaces_and_a_removed_one_is_gone_from_both_generations() {
        let mut cache = Cache::new(4);
        cache.insert("a", 1);
        cache.insert("b", 1);
        cache.insert("c", 1);
        cache.insert("a", 2);
        assert_eq!(cache.get("a"), Some(2));
        cache.remove("b");
        cache.remove("c");
        assert_eq!((cache.get("b"), cache.get("c"), cache.len()), (None, None, 1));
    }
}
