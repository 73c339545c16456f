//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Counts connections from the moment they are accepted.
pub(crate) struct Admissions {
    max: usize,
    max_per_address: usize,
    counts: Mutex<Counts>,
    emptied: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Admissions {
    /// `max_per_address` 0 is no limit.
    pub fn new(max: usize, max_per_address: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { max, max_per_address, counts: Mutex::default(), emptied: Notify::new(), metrics })
    }

    /// A place for one connection, unless there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let mut counts = self.counts.lock();
        if counts.all >= self.max {
            return None;
        }
        if self.max_per_address > 0 {
            let count = counts.by_address.entry(address).or_default();
            if *count >= self.max_per_address {
                return None;
            }
            *count += 1;
        }
        counts.all += 1;
        self.metrics.connections.increment(1);
        Some(ConnectionPermit(Arc::new(Place { admissions: self.clone(), address })))
    }

    /// Waits until there is no connection.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.counts.lock().all == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One connection's place; given back when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct ConnectionPermit(#[allow(dead_code)] Arc<Place>);

struct Place {
    admissions: Arc<Admissions>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.admissions.counts.lock();
        counts.all -= 1;
        self.admissions.metrics.connections.decrement(1);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        if counts.all == 0 {
            self.admissions.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let admissions = Admissions::new(3, 2, Arc::new(Metrics::new()));
        let (one, two) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let first = admissions.admit(one).unwrap();
        let second = admissions.admit(one).unwrap();
        assert!(admissions.admit(one).is_none(), "per address");
        let third = admissions.admit(two).unwrap();
        assert!(admissions.admit(two).is_none(), "in all");
        drop((first.clone(), first));
        assert!(admissions.admit(one).is_some());
        drop((second, third));
        assert_eq!(admissions.counts.lock().all, 0);
        assert!(admissions.counts.lock().by_address.is_empty());
    }
}
